import {
  Broker,
  Consumer,
  Event,
  EventEmitter,
  Inbox,
  type Message,
  Subscribers,
  Transaction,
  Transactor
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Schedule, Schema, Scope } from "effect"
import { Memory, message, quiet, RoomClosed, settled } from "./fixtures.ts"

class Applied extends Event.domain<Applied>()("Applied", { n: Schema.Number }) {}

const payload = (n: number) => new TextEncoder().encode(JSON.stringify({ room: "blue", n }))
const closed = (n: number, given: Partial<Message.Message> = {}) =>
  message({ id: String(n), payload: payload(n), ...given })

/** The messages that a consumer is careful with at its start, and those after them. */
const careful = Array.from({ length: 32 }, (_, n) => closed(1000 + n))

const Ground = Layer.mergeAll(Broker.layerMemory(), Memory, Inbox.layerMemory, quiet)

/** A consumer past its careful start, with batches of 8; what its handler writes stands once it is committed. */
const start = (handle: (n: number) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const broker = yield* Broker.Broker
    const transactor = yield* Transactor.Transactor
    const log: Array<string> = []
    let commits = 0
    const counting = Layer.succeed(Transactor.Transactor, {
      ...transactor,
      begin: (options) =>
        Effect.map(transactor.begin(options), (session) => ({
          ...session,
          commit: (messages) => Effect.tap(session.commit(messages), () => Effect.sync(() => commits += 1))
        }))
    })
    const gate = yield* Deferred.make<void>()
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(
      Consumer.layer({
        subscription: { group: "g" },
        events: [RoomClosed],
        inbox: true,
        batch: { size: 8 },
        retry: Schedule.recurs(1)
      }).pipe(
        Layer.provide(Subscribers.layer(RoomClosed, {
          h: ({ n }) =>
            n === 0 ? Deferred.await(gate) : n >= 1000 ? Effect.void : Effect.gen(function*() {
              log.push(`run ${n}`)
              yield* EventEmitter.emit(new Applied({ n }))
              yield* Transaction.run(Transaction.afterCommit(Effect.sync(() => log.push(`done ${n}`))))
              yield* handle(n)
            })
        })),
        Layer.provide(Subscribers.layer(Applied, { a: ({ n }) => Effect.sync(() => void log.push(`applied ${n}`)) })),
        Layer.provide(counting)
      ),
      scope
    )
    yield* broker.publish([...careful, closed(0)])
    for (let i = 0; i < 10; i++) yield* settled
    return {
      log,
      commits: () => commits,
      /** What is published meanwhile waits together. */
      go: (...batch: ReadonlyArray<Message.Message>) =>
        Effect.gen(function*() {
          yield* broker.publish(batch)
          commits = 0
          yield* Deferred.succeed(gate, undefined)
          for (let i = 0; i < 10; i++) yield* settled
          yield* Scope.close(scope, Exit.void)
        }),
      letters: Effect.gen(function*() {
        const ids: Array<string> = []
        yield* broker.sift({ topic: "g.dead-letters", group: "g.dead-letters" }, ({ message }) => {
          ids.push(message.id)
          return Effect.succeed("kept")
        })
        return ids
      })
    }
  })

describe("a consumer with batches", () => {
  it.effect("handles what waits in one transaction, and what was emitted is dispatched after its commit", () =>
    Effect.gen(function*() {
      const { commits, go, log } = yield* start(() => Effect.void)
      yield* go(closed(1), closed(2), closed(3))
      assert.deepStrictEqual(log.slice(0, 3), ["run 1", "run 2", "run 3"])
      assert.sameMembers(log.slice(3), [1, 2, 3].flatMap((n) => [`applied ${n}`, `done ${n}`]))
      // that of the message at the gate, and that of the batch
      assert.strictEqual(commits(), 2)
    }).pipe(Effect.provide(Ground)))

  it.effect("handles a message that is twice in one batch once", () =>
    Effect.gen(function*() {
      const { commits, go, log } = yield* start(() => Effect.void)
      yield* go(closed(1), closed(2), closed(1))
      assert.deepStrictEqual(log.filter((one) => one.startsWith("run")), ["run 1", "run 2"])
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 2"])
      assert.strictEqual(commits(), 2)
    }).pipe(Effect.provide(Ground)))

  it.effect("rolls back all of it if one fails, and handles each by itself, in order", () =>
    Effect.gen(function*() {
      const { go, letters, log } = yield* start((n) => n === 2 ? Effect.fail("no") : Effect.void)
      yield* go(closed(1), closed(2), closed(3))
      // the batch up to the failure, then one by one, the failing one with its retry
      assert.deepStrictEqual(
        log.filter((one) => one.startsWith("run")),
        ["run 1", "run 2", "run 1", "run 2", "run 2", "run 3"]
      )
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 3"])
      assert.deepStrictEqual(log.filter((one) => one.startsWith("applied")), ["applied 1", "applied 3"])
      assert.deepStrictEqual(yield* letters, ["2"])
    }).pipe(Effect.provide(Ground)))

  it.effect("what cannot be decoded is a dead letter, and the others of its batch are handled", () =>
    Effect.gen(function*() {
      const { go, letters, log } = yield* start(() => Effect.void)
      yield* go(
        closed(1),
        closed(2, { payload: new Uint8Array([0xff]) }),
        closed(3, { name: "room_painted" }),
        closed(4)
      )
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 4"])
      assert.deepStrictEqual(yield* letters, ["2", "3"])
    }).pipe(Effect.provide(Ground)))
})
