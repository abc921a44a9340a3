import { Broker } from "@effect-cqrs/core/Broker"
import * as BucketOwner from "@effect-cqrs/core/BucketOwner"
import type { Message } from "@effect-cqrs/core/Message"
import * as OutboxStorage from "@effect-cqrs/core/OutboxStorage"
import * as Relay from "@effect-cqrs/core/Relay"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Transactor from "@effect-cqrs/core/Transactor"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import { assertKeysInOrder, collect, consume, firstsOf, idsOf, type Kit } from "./kit.ts"

/** The relay of core, with its destination taken away. */
export const relayCases = <R>({ facts, itWith, until }: Kit<R>): void => {
  facts.describe("relay", () => {
    itWith(
      facts.destination,
      "a destination removed under load and restored: nothing is dead, delivery resumes, each key in order",
      ({ keepsMessages, remove, restore }) => (topic, group) =>
        Effect.gen(function*() {
          const sent: Array<Message> = []
          const seen = yield* watched
          yield* Effect.gen(function*() {
            const storage = yield* OutboxStorage.OutboxStorage
            const commits = yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
              const batch = Array.from({ length: 5 }, (_, n) => messageOf({ topic, key: `key ${n}` }))
              yield* Transaction.run(storage.append(batch))
              for (const message of batch) sent.push(message)
              yield* Effect.sleep("10 millis")
            })))
            // the group is there, and has no members while its topic is not
            const early = yield* Effect.scoped(Effect.gen(function*() {
              const received = yield* collect(yield* consume([topic], group))
              yield* until("messages arrive", () => received.length >= 20)
              return received
            }))
            yield* remove(topic)
            const removed = { calls: seen.calls(), retriable: seen.retriable(), sent: sent.length }
            yield* until("the relay notices", () => seen.retriable() > removed.retriable)
            yield* until("events wait", () => sent.length >= removed.sent + 50)
            yield* restore(topic)
            const waited = sent.slice(removed.sent)
            yield* until("events arrive again", () => waited.some((message) => seen.delivered.has(message.id)))
            yield* Fiber.interrupt(commits)
            const undelivered = () => sent.filter((message) => !seen.delivered.has(message.id))
            yield* until(() => `${undelivered().length} are not delivered`, () => undelivered().length === 0)
            yield* storage.statistics.pipe(
              Effect.delay("10 millis"),
              Effect.repeat({ until: (statistics) => statistics.pending === 0 }),
              Effect.map((statistics) => assert.strictEqual(statistics.dead, 0))
            )
            const late = yield* collect(yield* consume([topic], group))
            const needed = sent.filter((message) => keepsMessages || seen.delivered.get(message.id)! > removed.calls)
            const missing = () => {
              const ids = new Set([...idsOf(early), ...idsOf(late)])
              return needed.filter((message) => !ids.has(message.id))
            }
            yield* until(() => `${missing().length} of ${needed.length} are missing`, () => missing().length === 0)
            const firsts = firstsOf([...early, ...late])
            const arrived = new Set(idsOf(firsts))
            assertKeysInOrder(firsts, sent.filter((message) => arrived.has(message.id)))
          }).pipe(
            Effect.provide(
              Relay.layer({
                pollInterval: "50 millis",
                backoff: Schedule.spaced("50 millis"),
                // a rejection would be a dead letter at once
                retry: Schedule.stop,
                batchSize: 20
              }).pipe(
                Layer.provide(Layer.succeed(Broker, seen.broker)),
                Layer.provide(BucketOwner.layerSingle),
                Layer.provideMerge(Transactor.layerMemory),
                Layer.provideMerge(OutboxStorage.layerMemory({ buckets: 8 }))
              )
            )
          )
        })
    )
  })
}

/** The broker, with what it has answered. */
const watched = Effect.map(Broker, (broker) => {
  /** With the call that brought it there first. */
  const delivered = new Map<string, number>()
  let calls = 0
  let retriable = 0
  return {
    delivered,
    calls: () => calls,
    retriable: () => retriable,
    broker: Broker.of({
      ...broker,
      publish: (batch) =>
        Effect.suspend(() => {
          const call = ++calls
          return Effect.tap(broker.publish(batch), (outcomes) => {
            for (const [n, outcome] of outcomes.entries()) {
              const { id } = batch[n]!
              if (outcome._tag !== "Delivered") retriable += 1
              else if (!delivered.has(id)) delivered.set(id, call)
            }
          })
        })
    })
  }
})
