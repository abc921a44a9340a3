import {
  Correlation,
  Event,
  Message,
  Outbox,
  OutboxStorage,
  Serialization,
  Transaction,
  Transactor
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { Memory, Noticed, pending, RoomClosed, RoomOpened } from "./fixtures.ts"

class Moved extends Event.ecst<Moved>()("moved", {
  topic: "moves",
  payload: { id: Schema.String },
  key: (event) => event.id,
  keyLock: true
}) {}

const room = (n: number) => new RoomClosed({ room: "blue", n })
const wrong = new RoomClosed({ room: "secret", n: "secret" as unknown as number }, { disableValidation: true })
const ids = Effect.map(pending, (messages) => messages.map(({ id }) => id))

describe("Outbox", () => {
  it.effect("answers with the ids that the messages will have, in order", () =>
    Effect.gen(function*() {
      const [one, more] = yield* Transaction.run(Effect.all([
        Outbox.add(room(1)),
        Outbox.addAll([room(2), new RoomOpened({ room: "red", n: 3 })])
      ]))
      assert.deepStrictEqual(yield* ids, [one, ...more])
    }).pipe(Effect.provide(Memory)))

  it.effect("adds nothing for no events", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Transaction.run(Outbox.addAll([])), [])
      assert.deepStrictEqual(yield* ids, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("refuses an event that does not fit its schema, and the transaction can go on without it", () =>
    Effect.gen(function*() {
      const id = yield* Transaction.run(Effect.gen(function*() {
        const error = yield* Effect.flip(Outbox.add(wrong))
        assert.instanceOf(error, Transaction.TransactionError)
        assert.strictEqual(error.reason, "EventRejected")
        assert.instanceOf(error.cause, Serialization.SerializationError)
        assert.include(error.message, "room_closed")
        assert.notInclude(error.message, "secret")
        return yield* Outbox.add(room(1))
      }))
      assert.deepStrictEqual(yield* ids, [id])
    }).pipe(Effect.provide(Memory)))

  it.effect("refuses an event that is too large", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Transaction.run(Outbox.add(new Noticed({ text: "a".repeat(1024 * 1024) }))))
      assert.strictEqual(error.reason, "EventRejected")
      assert.strictEqual((error.cause as Serialization.SerializationError).reason, "TooLarge")
      assert.deepStrictEqual(yield* ids, [])
    }).pipe(Effect.provide(Memory)))

  it.effect("adds all events of a list, or, if one is refused, none", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* Effect.flip(Outbox.addAll([room(1), wrong, room(2)]))
        yield* Outbox.add(room(3))
      }))
      assert.strictEqual((yield* ids).length, 1)
    }).pipe(Effect.provide(Memory)))

  it.effect("refuses an event after the end of the transaction", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const late = yield* Transaction.run(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(go), Effect.flip(Outbox.add(room(1)))))
      )
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual((yield* Fiber.join(late)).reason, "Ended")
    }).pipe(Effect.provide(Memory)))

  it.effect("refuses an event once the commit has begun", () =>
    Effect.gen(function*() {
      const transactor = yield* Transactor.Transactor
      const committing = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const slow = Layer.succeed(Transactor.Transactor, {
        ...transactor,
        begin: (options) =>
          Effect.map(transactor.begin(options), (session) => ({
            ...session,
            commit: (messages) =>
              Deferred.succeed(committing, undefined).pipe(
                Effect.zipRight(Deferred.await(go)),
                Effect.zipRight(session.commit(messages))
              )
          }))
      })
      const fiber = yield* Effect.fork(Effect.provide(
        Transaction.run(Effect.gen(function*() {
          yield* Outbox.add(room(1))
          return yield* Effect.forkDaemon(
            Effect.zipRight(Deferred.await(committing), Effect.exit(Outbox.add(room(2))))
          )
        })),
        slow
      ))
      yield* Deferred.await(committing)
      yield* Effect.yieldNow()
      yield* Deferred.succeed(go, undefined)
      const exit = yield* Effect.flatMap(Fiber.join(fiber), Fiber.join)
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual((yield* ids).length, 1)
    }).pipe(Effect.provide(Memory)))

  it.effect("stamps messages with the conversation they are part of", () =>
    Effect.gen(function*() {
      yield* Correlation.provide(Transaction.run(Outbox.add(room(1))), { correlationId: "c", causationId: "cause" })
      const [message] = yield* pending
      assert.deepStrictEqual([message!.correlationId, message!.causationId], ["c", "cause"])
    }).pipe(Effect.provide(Memory)))

  it.effect("stores sequences that grow with the order of adding", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Outbox.addAll([room(1), room(2)]))
      yield* Transaction.run(Outbox.add(room(3)))
      const sequences = (yield* pending).map(({ sequence }) => sequence)
      assert.deepStrictEqual(sequences, [1n, 2n, 3n])
    }).pipe(Effect.provide(Memory)))

  it.effect("hands the storage the events' wish for a key lock, which is no part of the message", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      let appended: ReadonlyArray<OutboxStorage.Outgoing> = []
      const recording = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        append: (messages) =>
          Effect.zipRight(Effect.sync(() => void (appended = appended.concat(messages))), storage.append(messages))
      })
      yield* Effect.provide(
        Transaction.run(Outbox.addAll([room(1), new Moved({ id: "a" })])),
        Layer.provide(Layer.fresh(Transactor.layerMemory), recording)
      )
      assert.deepStrictEqual(appended.map(({ key, keyLock }) => [key, keyLock]), [["blue", undefined], ["a", true]])
      for (const message of [...(yield* pending), ...appended]) {
        assert.notInclude(JSON.stringify(Message.attributes(message)).toLowerCase(), "lock")
      }
      for (const message of yield* pending) assert.notProperty(message, "keyLock")
    }).pipe(Effect.provide(Memory)))

  it.effect("needs an outbox storage and no broker", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      yield* Transaction.run(Outbox.add(room(1)))
      assert.strictEqual((yield* storage.statistics).pending, 1)
    }).pipe(Effect.provide(Memory)))
})
