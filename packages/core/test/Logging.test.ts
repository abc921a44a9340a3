import {
  Broker,
  Command,
  Consumer,
  Correlation,
  Handler,
  Logging,
  Mediator,
  Outbox,
  Relay,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { layerLogs, Logs, message, Rejected, RelayGround, RoomClosed, settled } from "./fixtures.ts"
import { answering, tick } from "./support/relay.ts"

/** The annotations of the entries that say something. */
const annotations = (what: string) =>
  Effect.map(
    Logs,
    (lines) => lines.filter((line) => line.includes(what)).map((line) => JSON.parse(/\{.*\}/.exec(line)![0]) as object)
  )

class Speak extends Command.make<Speak>()("Speak", { payload: {} }) {}

const Identified = Logging.layerIds.pipe(Layer.provideMerge(layerLogs))

describe("layerIds", () => {
  it.effect("says in a request's handler to which conversation what is logged belongs, and what caused it", () =>
    Effect.gen(function*() {
      yield* Correlation.provide(Mediator.send(new Speak()), { correlationId: "conversation" })
      const [entry] = yield* annotations("spoken") as Effect.Effect<ReadonlyArray<Record<string, string>>, never, Logs>
      assert.strictEqual(entry!.correlationId, "conversation")
      assert.match(entry!.causationId!, /^[0-9a-f-]{36}$/)
      assert.hasAllKeys(entry, ["correlationId", "causationId"])
    }).pipe(
      Effect.provide(Layer.provideMerge(Handler.layer(Speak, () => Effect.log("spoken")), Identified))
    ))

  it.effect("says in a consumer's handler which message it is about, and of which group, and not its key", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      yield* broker.publish([message({ id: "one", key: "somebody", correlationId: "conversation" })])
      yield* settled
      assert.deepStrictEqual(yield* annotations("heard"), [{
        correlationId: "conversation",
        causationId: "one",
        messageId: "one",
        event: "room_closed",
        topic: "rooms",
        group: "g"
      }])
    }).pipe(
      Effect.provide(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, { handle: () => Effect.log("heard") })),
          Layer.provideMerge(Broker.layerMemory()),
          Layer.provideMerge(Identified)
        )
      )
    ))

  it.effect("leaves alone what is logged outside of handlers, and what somebody has said", () =>
    Effect.gen(function*() {
      yield* Effect.log("outside")
      yield* Correlation.provide(
        Effect.annotateLogs(Effect.log("own"), { correlationId: "mine" }),
        { correlationId: "conversation" }
      )
      assert.deepStrictEqual(yield* annotations("outside"), [{}])
      assert.deepStrictEqual(yield* annotations("own"), [{ correlationId: "mine" }])
    }).pipe(Effect.provide(Identified)))
})

describe("what is logged of a dead letter", () => {
  it.effect("of a consumer has its ids, and not its key", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      yield* broker.publish([message({ id: "one", key: "somebody", causationId: "cause" })])
      yield* settled
      assert.deepStrictEqual(yield* annotations("A message is a dead letter"), [{
        group: "g",
        event: "room_closed",
        messageId: "one",
        correlationId: "correlation",
        causationId: "cause",
        topic: "rooms",
        attempts: 1
      }])
    }).pipe(
      Effect.provide(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], retry: Schedule.stop }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, { handle: () => Effect.fail("no") })),
          Layer.provideMerge(Broker.layerMemory()),
          Layer.provideMerge(layerLogs)
        )
      )
    ))

  it.effect("of the outbox has its ids, and which relay gave it up", () =>
    Effect.gen(function*() {
      yield* answering(() => Rejected("too large"))
      const id = yield* Correlation.provide(
        Transaction.run(Outbox.add(new RoomClosed({ room: "somebody", n: 1 }))),
        { correlationId: "conversation", causationId: "cause" }
      )
      yield* tick
      assert.deepStrictEqual(yield* annotations("An event is a dead letter"), [{
        event: "room_closed",
        messageId: id,
        correlationId: "conversation",
        causationId: "cause",
        topic: "rooms",
        attempts: 1,
        relay: "0"
      }])
    }).pipe(Effect.provide(
      Layer.scoped(Relay.Relay, Relay.make({ lanes: 1, retry: Schedule.stop })).pipe(
        Layer.provideMerge(RelayGround),
        Layer.provideMerge(layerLogs)
      )
    )))
})
