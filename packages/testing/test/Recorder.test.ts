import { Broker, EventEmitter, Mediator, Outbox, Transaction, Transactor } from "@effect-cqrs/core"
import { Faults, Recorder, Testbed } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { changed, Handlers, join, joined, Members, RoomChanged, UserGreeted, UserJoined } from "./support/rooms.ts"

const Test = Handlers.pipe(
  Layer.provide(Recorder.layerSubscribers(UserGreeted)),
  Layer.provide(Members.layer),
  Layer.provideMerge(Testbed.layer())
)

const tags = Effect.flatMap(
  Recorder.Recorder,
  ({ entries }) => Effect.map(entries, (all) => all.map(({ _tag }) => _tag))
)

describe("the recorder", () => {
  it.effect("has what was added, emitted and published, each typed and in its order", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Outbox.addAll([joined("ada"), changed("ada"), joined("grace")]))
      yield* Mediator.send(join("linus"))
      yield* EventEmitter.emit(changed("ada", "grace"))
      assert.deepStrictEqual(yield* Recorder.added(UserJoined), [joined("ada"), joined("grace"), joined("linus")])
      assert.deepStrictEqual(yield* Recorder.added(RoomChanged, UserJoined), [
        joined("ada"),
        changed("ada"),
        joined("grace"),
        joined("linus")
      ])
      assert.deepStrictEqual(yield* Recorder.emitted(UserGreeted), [new UserGreeted({ userId: "linus" })])
      assert.deepStrictEqual(yield* Recorder.published(RoomChanged), [changed("ada", "grace")])
      assert.deepStrictEqual(yield* Recorder.published(UserJoined), [])
      assert.deepStrictEqual(yield* tags, ["Added", "Added", "Added", "Added", "Emitted", "Published"])
      yield* Effect.flatMap(Recorder.Recorder, ({ clear }) => clear)
      assert.deepStrictEqual(yield* tags, [])
    }).pipe(Effect.provide(Test)))

  it.effect("has what was rolled back as rolled back, and nothing of it as emitted", () =>
    Effect.gen(function*() {
      for (const userId of ["ada", "grace"]) yield* Mediator.send(join(userId))
      yield* Effect.flip(Mediator.send(join("linus")))
      assert.deepStrictEqual(yield* Recorder.added(UserJoined), [joined("ada"), joined("grace")])
      assert.deepStrictEqual(yield* Recorder.rolledBack(UserJoined), [joined("linus")])
      assert.deepStrictEqual(
        yield* Recorder.emitted(UserGreeted),
        ["ada", "grace"].map((userId) => new UserGreeted({ userId }))
      )
    }).pipe(Effect.provide(Test)))

  it.effect("tells a savepoint that was rolled back from the transaction round it", () =>
    Effect.gen(function*() {
      yield* Transaction.run(Effect.gen(function*() {
        yield* Outbox.add(joined("ada"))
        yield* Transaction.run(Effect.zipRight(Outbox.add(joined("grace")), Effect.fail("no"))).pipe(Effect.ignore)
        yield* Transaction.run(Outbox.add(joined("linus")))
        // nothing is known of the transaction's own before its end
        assert.deepStrictEqual(yield* tags, ["RolledBack"])
      }))
      assert.deepStrictEqual(yield* Recorder.rolledBack(UserJoined), [joined("grace")])
      assert.deepStrictEqual(yield* Recorder.added(UserJoined), [joined("ada"), joined("linus")])
    }).pipe(Effect.provide(Test)))

  it.effect("counts what was added before a commit that failed as rolled back, unless nobody knows", () =>
    Effect.gen(function*() {
      const failing = (reason: Transaction.TransactionError["reason"]) =>
        Layer.effect(
          Transactor.Transactor,
          Effect.map(Transactor.Transactor, (transactor) => ({
            ...transactor,
            begin: (options) =>
              Effect.map(transactor.begin(options), (session) => ({
                ...session,
                commit: () => new Transaction.TransactionError({ reason, message: "as told" })
              }))
          }))
        ).pipe(Layer.provide(Testbed.layer()))
      const added = (reason: Transaction.TransactionError["reason"]) =>
        Effect.provide(
          Effect.zipRight(Effect.flip(Transaction.run(Outbox.add(joined("ada")))), tags),
          Recorder.layerTransactor.pipe(Layer.provide(failing(reason)), Layer.provideMerge(Recorder.layer))
        )
      assert.deepStrictEqual(yield* added("RolledBack"), ["RolledBack"])
      assert.deepStrictEqual(yield* added("OutcomeUnknown"), [])
    }))

  it.scoped("knows what consumers hold, and what they settled or gave back", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const { absent, entries, held } = yield* Recorder.Recorder
      const source = yield* broker.consume({ topics: ["states"], group: "g" })
      assert.deepStrictEqual(yield* absent, ["g"])
      yield* EventEmitter.emit(changed("ada"))
      for (const exit of [Exit.fail("no"), Exit.void]) {
        const scope = yield* Scope.make()
        yield* Scope.extend(source.take, scope)
        assert.deepStrictEqual((yield* held).map(({ group, message }) => [group, message.name]), [[
          "g",
          "room_changed"
        ]])
        assert.deepStrictEqual(yield* absent, [])
        yield* Scope.close(scope, exit)
      }
      assert.deepStrictEqual(yield* held, [])
      assert.deepStrictEqual(
        (yield* entries).map((entry) => entry._tag === "Consumed" ? entry.how : entry._tag),
        ["Published", "givenBack", "settled"]
      )
    }).pipe(Effect.provide(Test)))

  it.effect("leaves out of what was published what the broker has not taken", () =>
    Effect.gen(function*() {
      yield* Faults.reject(RoomChanged)
      yield* EventEmitter.emit(changed("ada"))
      assert.deepStrictEqual(yield* Recorder.published(RoomChanged), [])
      assert.deepStrictEqual(yield* tags, ["Published", "EmissionFailed"])
    }).pipe(Effect.provide(Test)))
})
