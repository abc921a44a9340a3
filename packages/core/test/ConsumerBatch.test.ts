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
import { type Context, Deferred, Effect, Exit, Fiber, Layer, Option, Schedule, Schema, Scope, TestClock } from "effect"
import { Memory, message, quiet, RoomClosed, settled } from "./fixtures.ts"

class Applied extends Event.domain<Applied>()("Applied", { n: Schema.Number }) {}

const payload = (n: number) => new TextEncoder().encode(JSON.stringify({ room: "blue", n }))
const closed = (n: number, given: Partial<Message.Message> = {}) =>
  message({ id: String(n), payload: payload(n), ...given })

/** The messages that a consumer is careful with at its start, and those after them. */
const careful = Array.from({ length: 32 }, (_, n) => closed(1000 + n))

const Ground = Layer.mergeAll(Broker.layerMemory(), Memory, Inbox.layerMemory, quiet)

/** As a database has it, whoever knows of the commit: what is not rolled back stands. */
const Committing = Layer.effect(
  Inbox.InboxStorage,
  Effect.map(Inbox.InboxStorage, (storage) => {
    const registered = new Set<string>()
    return {
      ...storage,
      register: (key: Inbox.Key) =>
        Effect.suspend(() => {
          const name = JSON.stringify(key)
          if (registered.has(name)) return Effect.succeed(false)
          registered.add(name)
          return Effect.as(Transaction.afterRollback(Effect.sync(() => registered.delete(name))), true)
        })
    }
  })
)

type Session = Effect.Effect.Success<ReturnType<Context.Tag.Service<Transactor.Transactor>["begin"]>>

/** A consumer past its careful start, with batches of 8; what its handler writes stands once it is committed. */
const start = (
  handle: (n: number) => Effect.Effect<unknown, unknown>,
  options: Partial<Pick<Consumer.Options<[typeof RoomClosed], true>, "deadLetter" | "grace">> = {},
  changed: (session: Session) => Session = (session) => session
) =>
  Effect.gen(function*() {
    const broker = yield* Broker.Broker
    const transactor = yield* Transactor.Transactor
    const log: Array<string> = []
    let commits = 0
    let begins = 0
    const counting = Layer.succeed(Transactor.Transactor, {
      ...transactor,
      begin: (options) =>
        Effect.map(transactor.begin(options), (plain) => {
          begins += 1
          const session = changed(plain)
          return {
            ...session,
            commit: (messages) => Effect.tap(session.commit(messages), () => Effect.sync(() => commits += 1))
          }
        })
    })
    const gate = yield* Deferred.make<void>()
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(
      Consumer.layer({
        subscription: { group: "g" },
        events: [RoomClosed],
        inbox: true,
        batch: { size: 8 },
        retry: Schedule.recurs(1),
        ...options
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
    /** What is published meanwhile waits together. */
    const begin = (...batch: ReadonlyArray<Message.Message>) =>
      Effect.gen(function*() {
        yield* broker.publish(batch)
        commits = begins = 0
        yield* Deferred.succeed(gate, undefined)
        for (let i = 0; i < 10; i++) yield* settled
      })
    yield* broker.publish([...careful, closed(0)])
    for (let i = 0; i < 10; i++) yield* settled
    return {
      log,
      commits: () => commits,
      begins: () => begins,
      begin,
      close: Scope.close(scope, Exit.void),
      go: (...batch: ReadonlyArray<Message.Message>) => Effect.zipRight(begin(...batch), Scope.close(scope, Exit.void)),
      /** What the consumer has left, for another member. */
      left: Effect.scoped(Effect.gen(function*() {
        const source = yield* broker.consume({ topics: ["rooms"], group: "g" })
        const taken = yield* Effect.timeoutOption(
          Effect.fork(source.takeMany(100)).pipe(
            Effect.tap(() => settled),
            Effect.flatMap((fiber) =>
              Effect.flatMap(
                fiber.poll,
                Option.match({
                  onNone: () => Effect.as(Fiber.interruptFork(fiber), []),
                  onSome: (exit) => exit
                })
              )
            )
          ),
          "1 second"
        )
        return Option.getOrThrow(taken).map(({ message }) => message.id)
      })),
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

  it.effect("what is ignored costs the others of its batch nothing", () =>
    Effect.gen(function*() {
      const { commits, go, left, letters, log } = yield* start(() => Effect.void, {
        deadLetter: { unknown: "ignore", tombstones: "ignore" }
      })
      yield* go(
        closed(1),
        closed(2, { name: "room_painted" }),
        closed(3, { headers: { [Consumer.redrivenFor]: "others" } }),
        closed(4)
      )
      assert.deepStrictEqual(log.filter((one) => one.startsWith("run")), ["run 1", "run 4"])
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 4"])
      assert.strictEqual(commits(), 2)
      assert.deepStrictEqual([yield* letters, yield* left], [[], []])
    }).pipe(Effect.provide(Ground)))

  it.effect("a batch of which all is ignored opens no transaction", () =>
    Effect.gen(function*() {
      const { begins, go, left } = yield* start(() => Effect.void, { deadLetter: { unknown: "ignore" } })
      yield* go(closed(1, { name: "room_painted" }), closed(2, { name: "room_painted" }))
      assert.strictEqual(begins(), 0)
      assert.deepStrictEqual(yield* left, [])
    }).pipe(Effect.provide(Ground)))

  it.effect("interrupted in the middle it has done nothing, and all of it is handed out again, in order", () =>
    Effect.gen(function*() {
      const { begin, close, left, letters, log } = yield* start((n) => n === 2 ? Effect.never : Effect.void, {
        grace: "1 second"
      })
      yield* begin(closed(1), closed(2), closed(3))
      const closing = yield* Effect.fork(close)
      yield* settled
      yield* TestClock.adjust("1 second")
      yield* closing.await
      assert.deepStrictEqual(log, ["run 1", "run 2"])
      assert.deepStrictEqual(yield* left, ["1", "2", "3"])
      assert.deepStrictEqual(yield* letters, [])
    }).pipe(Effect.provide(Ground)))

  it.effect("finishes the batch that it is in at a shutdown", () =>
    Effect.gen(function*() {
      const slow = yield* Deferred.make<void>()
      const { begin, close, left, log } = yield* start((n) => n === 2 ? Deferred.await(slow) : Effect.void)
      yield* begin(closed(1), closed(2), closed(3))
      const closing = yield* Effect.fork(close)
      yield* settled
      yield* Deferred.succeed(slow, undefined)
      yield* closing.await
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 2", "done 3"])
      assert.deepStrictEqual(yield* left, [])
    }).pipe(Effect.provide(Ground)))

  /** Fails the first commit of a batch, after what `before` does. */
  const failingOnce = (
    reason: Transaction.TransactionError["reason"],
    before: (session: Session) => Effect.Effect<void, Transaction.TransactionError>
  ) => {
    let at = 0
    return (session: Session): Session => ({
      ...session,
      // those at the start and at the gate have a transaction each
      commit: (messages) =>
        Effect.suspend(() =>
          at++ === careful.length + 1
            ? Effect.zipRight(before(session), Effect.fail(new Transaction.TransactionError({ reason, message: "no" })))
            : session.commit(messages)
        )
    })
  }

  it.effect("a commit that fails has done nothing, and each is handled by itself", () =>
    Effect.gen(function*() {
      const { go, left, letters, log } = yield* start(
        () => Effect.void,
        {},
        failingOnce("CommitFailed", (session) => session.rollback)
      )
      yield* go(closed(1), closed(2))
      assert.deepStrictEqual(log.filter((one) => one.startsWith("run")), ["run 1", "run 2", "run 1", "run 2"])
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 2"])
      assert.deepStrictEqual(log.filter((one) => one.startsWith("applied")), ["applied 1", "applied 2"])
      assert.deepStrictEqual([yield* letters, yield* left], [[], []])
    }).pipe(Effect.provide(Ground)))

  it.effect("a commit of which nobody knows the outcome is found out about by the inbox: nothing is done twice", () =>
    Effect.gen(function*() {
      const { go, left, letters, log } = yield* start(
        () => Effect.void,
        {},
        failingOnce("OutcomeUnknown", (session) => session.commit([]))
      )
      yield* go(closed(1), closed(2))
      assert.deepStrictEqual(log.filter((one) => one.startsWith("run")), ["run 1", "run 2"])
      assert.deepStrictEqual([yield* letters, yield* left], [[], []])
    }).pipe(Effect.provide(Layer.provideMerge(Committing, Ground))))

  it.effect("holds all of a batch while the database is out, and counts no attempt", () =>
    Effect.gen(function*() {
      let out = false
      const unavailable = new Transaction.TransactionError({ reason: "Unavailable", message: "gone" })
      const { begin, close, left, letters, log } = yield* start(
        () => Effect.sync(() => void (out = log.length === 2 || out)),
        {},
        (session) => ({
          ...session,
          commit: (messages) => Effect.suspend(() => out ? Effect.fail(unavailable) : session.commit(messages))
        })
      )
      yield* begin(closed(1), closed(2))
      for (let minute = 0; minute < 10; minute++) yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), [])
      out = false
      yield* TestClock.adjust("1 minute")
      yield* settled
      assert.deepStrictEqual(log.filter((one) => one.startsWith("done")), ["done 1", "done 2"])
      yield* close
      assert.deepStrictEqual([yield* letters, yield* left], [[], []])
    }).pipe(Effect.provide(Ground)))
})
