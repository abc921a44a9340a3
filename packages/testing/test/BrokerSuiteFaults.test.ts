import { BrokerSuite } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Scope } from "effect"
import { factsOf, type Fault } from "./support/server.ts"

/** The suite's cases by name, not run. */
const casesWith = (faults: ReadonlyArray<Fault>) => {
  const cases = new Map<string, Effect.Effect<unknown, unknown, Scope.Scope>>()
  BrokerSuite.suite("faulty", {
    ...factsOf(faults),
    describe: (_name, collect) => collect(),
    it: { scopedLive: (name, test) => cases.set(name, Effect.suspend(test)), skip: () => {} },
    quiet: "30 millis",
    patience: "300 millis"
  })
  return cases
}

/** What the suite says to a broker that does something wrong: cases that must fail, by how their names begin. */
const caught: Record<Fault, ReadonlyArray<string>> = {
  "acknowledges what it never stored": [
    "answers a batch with as many outcomes",
    "connections are cut while messages are published",
    "a destination removed under load"
  ],
  "acknowledges as it hands out": ["what a member that leaves has not settled", "members that come and go"],
  "answers Delivered when there is no answer": [
    "connections are half-open while messages are published",
    "connections are cut while messages are published"
  ],
  "brings a batch in reverse": ["a key's messages come in the order", "several takers handle each key in order"],
  "brings messages twice": ["the members of a group share them", "answers a batch with as many outcomes"],
  "decides twice in sift": ["asks once of each message that waits"],
  "does not reconnect": [
    "connections are cut while messages are consumed",
    "a connection is half-open while messages are consumed",
    "the broker restarts while messages are published"
  ],
  "drops headers that it forwards": [
    "publishes all of a message on another topic",
    "a record is the same byte for byte"
  ],
  "drops what cannot be read": [
    "records in no known form are handed out",
    "a record in no known form is a dead letter"
  ],
  "forgets at a restart": ["what was delivered survives a restart"],
  "forwards what it has read and not what came": ["a record is the same byte for byte", "a tombstone stays one"],
  "gives messages of a key to several": [
    "while one of a key is out",
    "none of a key comes of which others are out"
  ],
  "goes on with a key after a refusal": ["of a batch, what the broker refuses is rejected"],
  "ignores the limit": ["brings what is there, several at a time"],
  "ignores the window": ["a member holds no more unsettled messages"],
  "puts what is given back behind the others": ["members that come and go"],
  "rejects where a topic is missing": ["a topic that is taken away", "a destination removed under load"],
  "settles what sift keeps": ["asks once of each message that waits", "leaves all as it was"],
  "takes a tombstone for an empty body": ["a tombstone is told from an empty body"],
  "waits for an answer for ever": ["connections are half-open while messages are published", "answers are lost"]
}

describe("the broker suite", () => {
  for (const [fault, names] of Object.entries(caught) as ReadonlyArray<[Fault, ReadonlyArray<string>]>) {
    it.live(`catches a broker that ${fault}`, () =>
      Effect.gen(function*() {
        const cases = casesWith([fault])
        for (const name of names) {
          const found = [...cases].filter(([known]) => known.startsWith(name))
          assert.strictEqual(found.length, 1, `one case begins with: ${name}`)
          const exit = yield* Effect.exit(Effect.scoped(found[0]![1])).pipe(Effect.timeout("10 seconds"))
          assert.isTrue(Exit.isFailure(exit), `is not caught by: ${name}`)
        }
      }), 30_000)
  }

  it.live("passes one without faults within the same patience", () =>
    Effect.gen(function*() {
      const cases = casesWith([])
      for (const name of new Set(Object.values(caught).flat())) {
        const [known, test] = [...cases].find(([known]) => known.startsWith(name))!
        yield* Effect.scoped(test).pipe(
          Effect.catchAllCause((cause) => Effect.dieMessage(`${known}: ${String(cause)}`))
        )
      }
    }), 60_000)
})
