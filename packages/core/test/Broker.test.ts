import { Broker } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, FastCheck as fc, Fiber, Layer, Scope } from "effect"
import { message, settled } from "./fixtures.ts"

const publish = (...batch: Parameters<typeof message>) =>
  Effect.flatMap(Broker.Broker, (broker) => broker.publish(batch.map((one) => message(one))))
const publishAll = (
  batch: ReadonlyArray<{ readonly key?: string | undefined; readonly id: string; readonly topic?: string }>
) => Effect.flatMap(Broker.Broker, (broker) => broker.publish(batch.map((one) => message(one))))
const subscribe = (group = "group", ...topics: ReadonlyArray<string>) =>
  Effect.flatMap(
    Broker.Broker,
    (broker) => broker.consume({ topics: topics.length === 0 ? ["rooms"] : topics, group })
  )

/** Takes a message and leaves its settling to the test. */
const takeOpen = (source: Broker.Source) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const { message, redeliveries } = yield* Scope.extend(source.take, scope)
    return { id: message.id, redeliveries, settle: (exit: Exit.Exit<unknown, unknown>) => Scope.close(scope, exit) }
  })

/** Takes a message and settles it. */
const take = (source: Broker.Source) => Effect.scoped(Effect.map(source.take, ({ message }) => message.id))

/** What is there right now, settled. */
const takeAll = (source: Broker.Source) =>
  Effect.gen(function*() {
    const ids: Array<string> = []
    const fiber = yield* Effect.fork(
      Effect.forever(Effect.flatMap(take(source), (id) => Effect.sync(() => void ids.push(id))))
    )
    yield* settled
    yield* Fiber.interrupt(fiber)
    return ids
  })

describe("Broker over memory", () => {
  it.scoped("a group hands out what was published to its topics, and nothing else", () =>
    Effect.gen(function*() {
      const source = yield* subscribe()
      yield* publishAll([{ id: "a" }, { id: "other", topic: "openings" }, { id: "b" }])
      assert.deepStrictEqual(yield* takeAll(source), ["a", "b"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("what was published before anybody subscribed goes to the first group, in order, and later groups start then", () =>
    Effect.gen(function*() {
      const before = yield* publishAll([
        { id: "1", key: "blue" },
        { id: "2", key: "blue" },
        { id: "other", topic: "openings" }
      ])
      assert.deepStrictEqual(before, [1, 2, 3].map(() => Broker.Outcome.Delivered()))
      const first = yield* subscribe("first")
      const second = yield* subscribe("second")
      yield* publishAll([{ id: "3", key: "blue" }])
      const head = yield* takeOpen(first)
      assert.strictEqual(head.id, "1")
      // one of a key at a time, whenever it was published
      assert.deepStrictEqual(yield* takeAll(first), [])
      yield* head.settle(Exit.void)
      assert.deepStrictEqual(yield* takeAll(first), ["2", "3"])
      assert.deepStrictEqual(yield* takeAll(second), ["3"])
      assert.deepStrictEqual(yield* takeAll(yield* subscribe("second", "openings")), ["other"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("a topic that nobody has subscribed to is held back when it is full, and no other is", () =>
    Effect.gen(function*() {
      const outcomes = yield* publishAll([
        { id: "1" },
        { id: "2" },
        { id: "3" },
        { id: "4", topic: "openings" }
      ])
      assert.deepStrictEqual(
        outcomes.map((outcome) => outcome._tag === "Retriable" ? outcome.scope : outcome._tag),
        ["Delivered", "Delivered", "destination", "Delivered"]
      )
      const source = yield* subscribe()
      assert.deepStrictEqual(yield* takeAll(source), ["1", "2"])
      yield* publish({ id: "3" })
      assert.deepStrictEqual(yield* takeAll(source), ["3"])
    }).pipe(Effect.provide(Broker.layerMemory({ capacity: 2 }))))

  it.scoped("each group gets all messages, the members of one group share them", () =>
    Effect.gen(function*() {
      const a1 = yield* subscribe("a")
      const a2 = yield* subscribe("a")
      const b = yield* subscribe("b")
      yield* publishAll([{ id: "1", key: "x" }, { id: "2", key: "y" }])
      const first = yield* take(a1)
      const second = yield* take(a2)
      assert.deepStrictEqual([first, second].sort(), ["1", "2"])
      assert.deepStrictEqual(yield* takeAll(b), ["1", "2"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("take waits for a message", () =>
    Effect.gen(function*() {
      const source = yield* subscribe()
      const fiber = yield* Effect.fork(take(source))
      yield* settled
      assert.isNull(fiber.unsafePoll())
      yield* publish({ id: "late" })
      assert.strictEqual(yield* Fiber.join(fiber), "late")
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("at most one unsettled message of a topic and key is out, those of other keys and topics are not held up", () =>
    Effect.gen(function*() {
      const source = yield* subscribe("group", "rooms", "openings")
      yield* publishAll([
        { id: "1", key: "blue" },
        { id: "2", key: "blue" },
        { id: "3", key: "red" },
        { id: "4", key: "blue", topic: "openings" }
      ])
      const first = yield* takeOpen(source)
      assert.strictEqual(first.id, "1")
      assert.strictEqual(yield* take(source), "3")
      assert.strictEqual(yield* take(source), "4")
      yield* publishAll([{ id: "5", key: "blue" }])
      assert.deepStrictEqual(yield* takeAll(source), [])
      yield* first.settle(Exit.void)
      assert.deepStrictEqual(yield* takeAll(source), ["2", "5"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("messages without a key are independent of each other", () =>
    Effect.gen(function*() {
      const source = yield* subscribe()
      yield* publishAll([{ id: "1", key: undefined }, { id: "2", key: undefined }])
      const first = yield* takeOpen(source)
      assert.strictEqual(yield* take(source), "2")
      yield* first.settle(Exit.fail("no"))
      assert.strictEqual(yield* take(source), "1")
    }).pipe(Effect.provide(Broker.layerMemory())))

  for (
    const [how, exit] of [["failure", Exit.fail("no")], ["interruption", Exit.interrupt("none" as never)]] as const
  ) {
    it.scoped(`a message whose scope closed with ${how} comes again before later ones of its key, and says how often`, () =>
      Effect.gen(function*() {
        const source = yield* subscribe()
        yield* publishAll([{ id: "1", key: "blue" }, { id: "2", key: "blue" }])
        for (const redeliveries of [0, 1, 2]) {
          const first = yield* takeOpen(source)
          assert.deepStrictEqual({ id: first.id, redeliveries: first.redeliveries }, { id: "1", redeliveries })
          yield* first.settle(exit)
        }
        assert.deepStrictEqual(yield* takeAll(source), ["1", "2"])
      }).pipe(Effect.provide(Broker.layerMemory())))
  }

  it.scoped("a message that was out when its member left goes to another member", () =>
    Effect.gen(function*() {
      const member = yield* Scope.make()
      const leaving = yield* Scope.extend(subscribe(), member)
      const staying = yield* subscribe()
      yield* publish({ id: "1" })
      const work = yield* takeOpen(leaving)
      yield* Scope.close(member, Exit.void)
      const again = yield* takeOpen(staying)
      assert.strictEqual(again.id, "1")
      // too late: it is another member's now
      yield* work.settle(Exit.void)
      yield* again.settle(Exit.fail("no"))
      assert.strictEqual(yield* take(staying), "1")
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("what comes while a group has no member waits for the next one", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(subscribe())
      yield* publish({ id: "1" })
      assert.deepStrictEqual(yield* takeAll(yield* subscribe()), ["1"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("interrupting a waiting take loses nothing", () =>
    Effect.gen(function*() {
      const source = yield* subscribe()
      const fiber = yield* Effect.fork(take(source))
      yield* settled
      yield* Fiber.interrupt(fiber)
      yield* publish({ id: "1" })
      assert.deepStrictEqual(yield* takeAll(source), ["1"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("interrupting a take in the moment a message arrives loses nothing", () =>
    Effect.gen(function*() {
      const source = yield* subscribe()
      const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(source.take, Effect.never)))
      yield* settled
      yield* Effect.zipRight(publish({ id: "1" }), Fiber.interrupt(fiber))
      assert.deepStrictEqual(yield* takeAll(source), ["1"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("a full group refuses what is published until it has settled something, and stores nothing of it anywhere", () =>
    Effect.gen(function*() {
      const slow = yield* subscribe("slow")
      const fast = yield* subscribe("fast")
      const tags = (outcomes: ReadonlyArray<Broker.Outcome>) => outcomes.map(({ _tag }) => _tag)
      const outcomes = yield* publishAll(["1", "2", "3", "4"].map((id) => ({ id, key: `key ${id}` })))
      assert.deepStrictEqual(tags(outcomes), ["Delivered", "Delivered", "Retriable", "Retriable"])
      assert.deepStrictEqual(yield* takeAll(fast), ["1", "2"])
      assert.deepStrictEqual(tags(yield* publishAll([{ id: "3" }])), ["Retriable"])
      const first = yield* takeOpen(slow)
      assert.deepStrictEqual(tags(yield* publishAll([{ id: "3" }])), ["Retriable"])
      yield* first.settle(Exit.void)
      assert.deepStrictEqual(tags(yield* publishAll([{ id: "3" }])), ["Delivered"])
      assert.deepStrictEqual(yield* takeAll(fast), ["3"])
    }).pipe(Effect.provide(Broker.layerMemory({ capacity: 2 }))))

  it.scoped("after a message of a batch is not delivered no later one of its key is", () =>
    Effect.gen(function*() {
      const source = yield* subscribe()
      yield* subscribe("narrow", "rooms")
      const outcomes = yield* publishAll([
        { id: "1", key: "blue" },
        { id: "2", key: "blue" },
        { id: "3", key: "blue" },
        { id: "4", key: "red", topic: "nobody listens" }
      ])
      assert.deepStrictEqual(outcomes.map(({ _tag }) => _tag), ["Delivered", "Retriable", "Retriable", "Delivered"])
      assert.deepStrictEqual(yield* takeAll(source), ["1"])
    }).pipe(Effect.provide(Broker.layerMemory({ capacity: 1 }))))

  it.scoped("a group may add topics by another member", () =>
    Effect.gen(function*() {
      const first = yield* subscribe("group", "rooms")
      yield* subscribe("group", "openings")
      yield* publish({ id: "1", topic: "openings" })
      assert.deepStrictEqual(yield* takeAll(first), ["1"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  const keyed = fc.array(fc.constantFrom("a", "b", "c", undefined), { maxLength: 40 })

  it.scoped.prop(
    "every message is settled once, and those of one key in order, whatever fails and however many take at a time",
    [keyed, fc.integer({ min: 1, max: 5 }), fc.infiniteStream(fc.integer({ min: 0, max: 3 }))],
    ([keys, takers, chance]) =>
      Effect.gen(function*() {
        const handled: Array<{ readonly key: string | undefined; readonly n: number }> = []
        const source = yield* subscribe()
        const worker = Effect.forever(Effect.ignore(Effect.scoped(Effect.gen(function*() {
          const { message } = yield* source.take
          yield* Effect.yieldNow()
          if (chance.next().value === 0) return yield* Effect.fail("again")
          handled.push({ key: message.key, n: Number(message.id) })
        }))))
        const fibers = yield* Effect.forEach(Array.from({ length: takers }), () => Effect.fork(worker))
        yield* publishAll(keys.map((key, n) => ({ key, id: String(n) })))
        for (let i = 0; i < 20; i++) yield* settled
        yield* Fiber.interruptAll(fibers)
        assert.deepStrictEqual(handled.map(({ n }) => n).sort((a, b) => a - b), keys.map((_, n) => n))
        for (const key of ["a", "b", "c"]) {
          const order = handled.filter((one) => one.key === key).map(({ n }) => n)
          assert.deepStrictEqual(order, [...order].sort((a, b) => a - b))
        }
      }).pipe(Effect.provide(Broker.layerMemory())),
    { fastCheck: { numRuns: 50 } }
  )
})

describe("Broker with a prefix", () => {
  const withPrefix = (prefix: string) =>
    Effect.map(Layer.build(Broker.layerPrefix(prefix)), (context) => Context.get(context, Broker.Broker))

  it.scoped("keeps topics and groups apart, and shows neither its messages nor their dead letters the prefix", () =>
    Effect.gen(function*() {
      const blue = yield* withPrefix("blue.")
      const red = yield* withPrefix("red.")
      const subscription = { topics: ["rooms", "letters"], group: "group", publishesTo: ["letters"] }
      const source = yield* blue.consume(subscription)
      const other = yield* red.consume(subscription)
      yield* blue.publish([message({ id: "1" }), message({ id: "2" })])
      const forwarded = yield* Effect.scoped(Effect.flatMap(source.take, ({ forward, message }) => {
        assert.strictEqual(message.topic, "rooms")
        return forward({ topic: "letters", headers: { reason: "no" } })
      }))
      assert.deepStrictEqual(forwarded, Broker.Outcome.Delivered())
      const rest = yield* Effect.scoped(source.takeMany(10))
      assert.deepStrictEqual(
        rest.map(({ message: { headers, id, topic } }) => [id, topic, headers]),
        [["1", "letters", { reason: "no" }], ["2", "rooms", {}]]
      )
      assert.deepStrictEqual(yield* takeAll(other), [])
      yield* red.publish([message({ id: "red" })])
      assert.deepStrictEqual(yield* takeAll(source), [])
      assert.deepStrictEqual(yield* takeAll(other), ["red"])
      yield* blue.publish([message({ id: "3", topic: "waiting" })])
      const settledOnes = yield* blue.sift({ topic: "waiting", group: "tool" }, (delivery) =>
        Effect.sync(() => {
          assert.strictEqual(delivery.message.topic, "waiting")
          return "settled" as const
        }))
      assert.strictEqual(settledOnes, 1)
    }).pipe(Effect.provide(Broker.layerMemory())))
})
