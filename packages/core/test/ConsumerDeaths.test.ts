import { Broker, Consumer, Inbox, type Message, OutboxStorage, Subscribers, Transaction } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Schedule, Scope, TestClock } from "effect"
import { Memory, message, quiet, received, RoomClosed, settled } from "./fixtures.ts"

/** What outlives a process. */
class World extends Context.Tag("test/World")<World, {
  readonly storage: Context.Tag.Service<Inbox.InboxStorage>
  /** How often each handler was started, by message and handler. */
  readonly started: Map<string, number>
  readonly handled: Array<string>
  readonly letters: Array<Message.Message>
}>() {}

/** As a database has it: with a process go the transactions that it had open, and what they registered. */
const registering = (): Context.Tag.Service<Inbox.InboxStorage>["register"] => {
  const committed = new Set<string>()
  return (key) => {
    const name = JSON.stringify(key)
    return Effect.suspend(() =>
      committed.has(name)
        ? Effect.succeed(false)
        : Effect.as(Transaction.afterCommit(Effect.sync(() => committed.add(name))), true)
    )
  }
}

const Ground = Layer.mergeAll(
  Memory,
  quiet,
  Layer.provideMerge(
    Layer.effect(
      World,
      Effect.map(Inbox.InboxStorage, (storage) => ({
        storage: { ...storage, register: registering() },
        started: new Map(),
        handled: [],
        letters: []
      }))
    ),
    Inbox.layerMemory
  )
)

const closed = (n: number, given: Partial<Message.Message> = {}) =>
  message({
    id: String(n),
    key: undefined,
    payload: new TextEncoder().encode(JSON.stringify({ room: "blue", n })),
    ...given
  })

/** The processes that died, with their handlers as they were. */
const graveyard = Effect.runSync(Scope.make())

type Handle = (n: number) => Effect.Effect<unknown, unknown, Scope.Scope>

/**
 * A process: a broker that hands out these messages, and a consumer of them on the storage that all processes share. It
 * dies where a handler never returns, and the clock stands still: nothing more of it happens.
 */
const run = (
  messages: ReadonlyArray<Message.Message>,
  handlers: Record<string, Handle>,
  options: Partial<Omit<Consumer.Options<[typeof RoomClosed], true>, "inbox" | "events" | "group">> = {},
  storage?: Context.Tag.Service<Inbox.InboxStorage>,
  brokers: Layer.Layer<Broker.Broker> = Broker.layerMemory()
) =>
  Effect.gen(function*() {
    const world = yield* World
    const own = storage ?? { ...world.storage }
    const scope = yield* Scope.fork(graveyard, { _tag: "Sequential" })
    const wrapped = Object.fromEntries(
      Object.entries(handlers).map(([name, handle]) => [
        name,
        (event: RoomClosed) =>
          Effect.suspend(() => {
            const id = `${name} ${event.n}`
            world.started.set(id, (world.started.get(id) ?? 0) + 1)
            return Effect.tap(Effect.scoped(handle(event.n)), () => Effect.sync(() => world.handled.push(id)))
          })
      ])
    )
    const consumer = Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], inbox: true, ...options })
      .pipe(
        Layer.provide(Subscribers.layer(RoomClosed, wrapped)),
        Layer.provide(Layer.succeed(Inbox.InboxStorage, own))
      )
    const broker = Context.get(
      yield* Layer.buildWithScope(Layer.provideMerge(consumer, brokers), scope),
      Broker.Broker
    )
    const listener = yield* Scope.extend(broker.consume({ topics: ["g.dead-letters"], group: "letters" }), scope)
    yield* Effect.forkIn(
      Effect.forever(Effect.scoped(
        Effect.flatMap(listener.take, ({ message }) => Effect.sync(() => world.letters.push(message)))
      )),
      scope
    )
    yield* broker.publish(messages)
    for (let i = 0; i < Math.max(2, messages.length / 10); i++) yield* settled
    return { close: Scope.close(scope, Exit.void) }
  })

const suspicions = (...messages: ReadonlyArray<Message.Message>) =>
  Effect.flatMap(World, ({ storage }) =>
    Effect.filter(
      messages,
      ({ id, source }) => storage.isSuspect({ consumer: "g", source, messageId: id })
    ).pipe(Effect.map((found) => found.map(({ id }) => id))))

const reasonsOf = (letters: ReadonlyArray<Message.Message>) =>
  letters.map(({ headers, id }) => `${id} ${headers[Consumer.deadLetterHeaders.reason]}`)

describe("a message that kills the process", () => {
  it.effect("is a dead letter after five deaths with it alone in flight, and those beside it are handled", () =>
    Effect.gen(function*() {
      const { handled, letters, started } = yield* World
      const messages = [1, 2, 3, 4].map((n) => closed(n))
      for (let life = 1; life <= 5; life++) {
        yield* run(messages, { h: (n) => n === 2 ? Effect.never : Effect.void })
        assert.deepStrictEqual(handled, ["h 1"])
        assert.deepStrictEqual(letters, [])
      }
      const last = yield* run(messages, { h: (n) => n === 2 ? Effect.never : Effect.void })
      assert.deepStrictEqual(handled, ["h 1", "h 3", "h 4"])
      assert.strictEqual(started.get("h 2"), 5)
      assert.strictEqual(letters.length, 1)
      assert.match(reasonsOf(letters)[0]!, /^2 h: The process died 5 times in a row/)
      assert.strictEqual(letters[0]!.headers[Consumer.deadLetterHeaders.attempts], "0")
      assert.deepStrictEqual(yield* suspicions(...messages), [])
      yield* last.close
    }).pipe(Effect.provide(Ground)))

  it.effect("is found among those that were in flight with it, of which none is blamed", () =>
    Effect.gen(function*() {
      const { handled, letters, started } = yield* World
      const messages = [1, 2, 3, 4].map((n) => closed(n))
      // four at work when the first process dies
      yield* run(messages, { h: () => Effect.never }, { concurrency: 4 })
      assert.deepStrictEqual([...started.keys()], ["h 1", "h 2", "h 3", "h 4"])
      assert.deepStrictEqual(yield* suspicions(...messages), ["1", "2", "3", "4"])
      for (let life = 1; life <= 5; life++) {
        yield* run(messages, { h: (n) => n === 3 ? Effect.never : Effect.void }, { concurrency: 4 })
        assert.strictEqual(started.get("h 3"), life + 1)
        assert.deepStrictEqual(letters, [])
      }
      const last = yield* run(messages, { h: (n) => n === 3 ? Effect.never : Effect.void }, { concurrency: 4 })
      assert.deepStrictEqual([...handled].sort(), ["h 1", "h 2", "h 4"])
      assert.deepStrictEqual(letters.map(({ id }) => id), ["3"])
      assert.deepStrictEqual(yield* suspicions(...messages), [])
      yield* last.close
    }).pipe(Effect.provide(Ground)))

  it.effect("is found behind any number of messages that were handled, of which the broker does not know yet", () =>
    Effect.gen(function*() {
      const { handled, letters } = yield* World
      const messages = Array.from({ length: 101 }, (_, n) => closed(n))
      const die = { h: (n: number) => n === 100 ? Effect.never : Effect.void }
      // it dies at ease, and comes again with what was handled since the broker was told
      yield* run(messages, die)
      assert.strictEqual(handled.length, 100)
      for (let life = 1; life <= 5; life++) yield* run(messages, die)
      assert.deepStrictEqual(letters, [])
      const last = yield* run(messages, die)
      assert.deepStrictEqual(letters.map(({ id }) => id), ["100"])
      assert.strictEqual(handled.length, 100)
      yield* last.close
    }).pipe(Effect.provide(Ground)))

  it.effect("is found when it died in the middle of a batch, of which nothing stands", () =>
    Effect.gen(function*() {
      const { handled, letters, started } = yield* World
      const early = Array.from({ length: 33 }, (_, n) => closed(100 + n, { key: "one" }))
      const later = [1, 2, 3, 4].map((n) => closed(n, { key: "one" }))
      const options = { batch: { size: 8 }, concurrency: 1 }
      const die = { h: (n: number) => n === 3 ? Effect.never : Effect.void }
      yield* run([...early, ...later], die, options)
      // it was no first message, and those before it were run, in the same transaction
      assert.deepStrictEqual(yield* suspicions(...later), [])
      assert.deepStrictEqual([started.get("h 1"), started.get("h 3"), started.get("h 4")], [1, 1, undefined])
      for (let life = 1; life <= 5; life++) {
        yield* run(later, die, options)
        assert.strictEqual(started.get("h 1"), 2)
      }
      assert.deepStrictEqual(letters, [])
      const last = yield* run(later, die, options)
      assert.deepStrictEqual(letters.map(({ id }) => id), ["3"])
      assert.deepStrictEqual(handled.slice(-2), ["h 2", "h 4"])
      yield* last.close
    }).pipe(Effect.provide(Ground)))

  it.effect("is handled with nothing beside it, of no consumer that shares its inbox", () =>
    Effect.gen(function*() {
      const { handled, started, storage } = yield* World
      const poison = closed(1)
      const go = yield* Deferred.make<void>()
      yield* run([poison], { h: () => Effect.never })
      // another consumer of the second process is at work when the message comes
      const shared = { ...storage }
      const slow = yield* run([closed(7)], { slow: () => Deferred.await(go) }, {}, shared)
      const second = yield* run(
        [poison, closed(2), closed(3)],
        { h: (n) => n === 1 ? Deferred.await(go) : Effect.void },
        { concurrency: 3 },
        shared
      )
      assert.deepStrictEqual([...started], [["h 1", 1], ["slow 7", 1]])
      yield* Deferred.succeed(go, undefined)
      yield* settled
      assert.deepStrictEqual(handled.slice(0, 2), ["slow 7", "h 1"])
      assert.deepStrictEqual([...handled.slice(2)].sort(), ["h 2", "h 3"])
      yield* Effect.zipRight(slow.close, second.close)
    }).pipe(Effect.provide(Ground)))

  for (
    const [how, ending] of [
      ["success", Effect.void],
      ["failure", Effect.fail("no")],
      ["defect", Effect.die("no")]
    ] as const
  ) {
    it.effect(`an outcome clears it: a ${how} after four deaths`, () =>
      Effect.gen(function*() {
        const { letters } = yield* World
        for (let life = 1; life <= 4; life++) yield* run([closed(1)], { h: () => Effect.never })
        const last = yield* run([closed(1)], { h: () => ending }, { retry: Schedule.spaced("1 hour"), grace: 0 })
        assert.deepStrictEqual(yield* suspicions(closed(1)), [])
        assert.deepStrictEqual(letters, [])
        yield* Effect.zipRight(Effect.fork(last.close), Effect.zipRight(settled, TestClock.adjust("1 second")))
        for (let life = 1; life <= 4; life++) yield* run([closed(1)], { h: () => Effect.never })
        assert.deepStrictEqual(letters, [])
      }).pipe(Effect.provide(Ground)))
  }

  it.effect("a shutdown is no death, however often it interrupts the handler", () =>
    Effect.gen(function*() {
      const { letters, started } = yield* World
      for (let life = 1; life <= 8; life++) {
        const process = yield* run([closed(1)], { h: () => Effect.never }, { grace: "1 second" })
        const closing = yield* Effect.fork(process.close)
        yield* settled
        yield* TestClock.adjust("1 second")
        yield* closing.await
        assert.deepStrictEqual(yield* suspicions(closed(1)), [])
      }
      assert.strictEqual(started.get("h 1"), 8)
      assert.deepStrictEqual(letters, [])
    }).pipe(Effect.provide(Ground)))

  it.effect("only the handler that it dies in is given up, and the others are run and retried as ever", () =>
    Effect.gen(function*() {
      const { handled, letters, started } = yield* World
      const fatal = { fine: () => Effect.void, fatal: () => Effect.never, after: () => Effect.fail("no") }
      for (let life = 1; life <= 2; life++) yield* run([closed(1)], fatal, { deaths: 2 })
      const last = yield* run([closed(1)], fatal, { deaths: 2, retry: Schedule.recurs(2) })
      assert.deepStrictEqual(handled, ["fine 1"])
      assert.strictEqual(started.get("fatal 1"), 2)
      assert.strictEqual(started.get("after 1"), 3)
      assert.match(reasonsOf(letters).join(), /^1 after: .*; fatal: The process died 2 times/)
      assert.strictEqual(letters.length, 1)
      yield* last.close
    }).pipe(Effect.provide(Ground)))

  it.effect("has another chance when it is redriven", () =>
    Effect.gen(function*() {
      const { handled, letters } = yield* World
      for (let life = 1; life <= 3; life++) yield* run([closed(1)], { h: () => Effect.never }, { deaths: 2 })
      assert.strictEqual(letters.length, 1)
      const mended = yield* run([closed(1)], { h: () => Effect.void }, { deaths: 2 })
      assert.deepStrictEqual(handled, ["h 1"])
      assert.strictEqual(letters.length, 1)
      yield* mended.close
    }).pipe(Effect.provide(Ground)))
})

describe("starts are counted", () => {
  const counting = Effect.map(World, ({ storage }) => {
    const counted: Array<string> = []
    return {
      counted,
      storage: {
        ...storage,
        start: (key: Inbox.Key, start: Inbox.Start) =>
          Effect.zipRight(Effect.sync(() => counted.push(key.messageId)), storage.start(key, start))
      }
    }
  })

  it.effect("for the first 32 messages of a start, and for those that were handed out before", () =>
    Effect.gen(function*() {
      const { counted, storage } = yield* counting
      const { handled } = yield* World
      const messages = Array.from({ length: 40 }, (_, n) => closed(n, { key: "one" }))
      const redelivering = received((id) => id === "37" ? { redeliveries: 1 } : {})
      const process = yield* run(messages, { h: () => Effect.void }, {}, storage, redelivering)
      for (let i = 0; i < 10; i++) yield* settled
      assert.strictEqual(handled.length, 40)
      assert.deepStrictEqual(counted, [...Array.from({ length: 32 }, (_, n) => `${n}`), "37"])
      yield* process.close
    }).pipe(Effect.provide(Ground)))

  for (const batch of [undefined, { size: 8 }]) {
    it.effect(
      `for the first 32 of each partition, however many came from others before${batch ? ", in batches" : ""}`,
      () =>
        Effect.gen(function*() {
          const { counted, storage } = yield* counting
          const { handled } = yield* World
          const messages = Array.from({ length: 80 }, (_, n) => closed(n, { key: "one" }))
          const partitions = [{}, {}]
          const partitioned = received((id) => ({ origin: partitions[Number(id) < 40 ? 0 : 1] }))
          const process = yield* run(messages, { h: () => Effect.void }, { batch }, storage, partitioned)
          for (let i = 0; i < 10; i++) yield* settled
          assert.strictEqual(handled.length, 80)
          const first = (from: number) => Array.from({ length: 32 }, (_, n) => `${from + n}`)
          assert.deepStrictEqual(counted, [...first(0), ...first(40)])
          yield* process.close
        }).pipe(Effect.provide(Ground))
    )
  }

  it.effect("and while the storage cannot be asked the message is held", () =>
    Effect.gen(function*() {
      const { handled, letters, started, storage } = yield* World
      let out = true
      const unavailable = new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })
      const flaky = {
        ...storage,
        isSuspect: (key: Omit<Inbox.Key, "handler">) =>
          Effect.suspend(() => out ? Effect.fail(unavailable) : storage.isSuspect(key))
      }
      const process = yield* run([closed(1)], { h: () => Effect.void }, {}, flaky)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(started.size, 0)
      out = false
      yield* TestClock.adjust("20 seconds")
      yield* settled
      assert.deepStrictEqual(handled, ["h 1"])
      assert.deepStrictEqual(letters, [])
      yield* process.close
    }).pipe(Effect.provide(Ground)))
})
