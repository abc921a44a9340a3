import { Broker, Consumer, ConsumerDeadLetters, Inbox, Message, Subscribers } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, Fiber, Layer, Option, Schedule, TestClock } from "effect"
import { DestinationOut, Memory, message, Noticed, quiet, RoomClosed, settled } from "./fixtures.ts"

const headers = Consumer.deadLetterHeaders

const letter = (id: string, given: Partial<Message.Message> = {}, reason = "h: Failed") =>
  message({
    id,
    topic: "g.dead-letters",
    ...given,
    headers: {
      tenant: "acme",
      [headers.reason]: reason,
      [headers.attempts]: "6",
      [headers.group]: "g",
      [headers.topic]: "rooms",
      [headers.time]: "2026-01-01T00:00:00.000Z",
      ...given.headers
    }
  })

const foreign = (id: string) => message({ id, topic: "g.dead-letters" })

const publish = (...batch: ReadonlyArray<Message.Message>) =>
  Effect.flatMap(Broker.Broker, (broker) => broker.publish(batch))

const ids = (letters: Iterable<{ readonly id: string }>) => Array.from(letters, ({ id }) => id)

/** What a topic's new group is given. */
const received = (topic: string) =>
  Effect.scoped(Effect.gen(function*() {
    const broker = yield* Broker.Broker
    const source = yield* broker.consume({ topics: [topic], group: `reader of ${topic}` })
    const found: Array<Message.Message> = []
    const fiber = yield* Effect.fork(Effect.forever(Effect.scoped(
      Effect.flatMap(source.take, (one) => Effect.sync(() => void found.push(one.message)))
    )))
    yield* settled
    yield* Fiber.interrupt(fiber)
    return found
  }))

const Letters = Layer.provideMerge(ConsumerDeadLetters.layer({ group: "g" }), Broker.layerMemory())

describe("ConsumerDeadLetters", () => {
  it.effect("lists those of its group, with a limit and by a filter, and leaves all of them where they are", () =>
    Effect.gen(function*() {
      const letters = yield* ConsumerDeadLetters.ConsumerDeadLetters
      yield* publish(
        letter("1"),
        letter("2", { key: "red", headers: { [headers.topic]: "openings" } }),
        letter("3", { headers: { [headers.group]: "another" } }),
        foreign("4"),
        letter("5", { headers: { [headers.time]: "2026-02-01T00:00:00.000Z" } })
      )
      assert.sameMembers(ids(yield* letters.list()), ["1", "2", "4", "5"])
      assert.strictEqual((yield* letters.list({ limit: 2 })).length, 2)
      assert.deepStrictEqual(ids(yield* letters.list({ topic: "openings" })), ["2"])
      assert.deepStrictEqual(ids(yield* letters.list({ key: "red" })), ["2"])
      const february = DateTime.unsafeMake("2026-02-01T00:00:00Z")
      assert.deepStrictEqual(ids(yield* letters.list({ since: february })), ["5"])
      assert.sameMembers(ids(yield* letters.list({ until: february })), ["1", "2"])
      assert.sameMembers(ids(yield* letters.list()), ["1", "2", "4", "5"])
    }).pipe(Effect.provide(Letters)))

  it.effect("shows one of them, and counts them by topic and reason, most first", () =>
    Effect.gen(function*() {
      const letters = yield* ConsumerDeadLetters.ConsumerDeadLetters
      yield* publish(letter("1"), letter("2", {}, "other"), letter("3", {}, "other"), foreign("4"))
      const one = Option.getOrThrow(yield* letters.inspect("2"))
      assert.deepInclude(one, { id: "2", topic: "rooms", reason: "other", attempts: 6 })
      assert.isTrue(Option.isNone(yield* letters.inspect("9")))
      assert.deepStrictEqual(yield* letters.count(), [
        { topic: "rooms", reason: "other", count: 2 },
        { topic: "rooms", reason: "h: Failed", count: 1 },
        { topic: undefined, reason: "(no reason given)", count: 1 }
      ])
    }).pipe(Effect.provide(Letters)))

  it.effect("redrives to where they came from, as they came and for their group alone", () =>
    Effect.gen(function*() {
      const letters = yield* ConsumerDeadLetters.ConsumerDeadLetters
      const progress: Array<number> = []
      yield* publish(letter("1"), letter("2"), letter("3"))
      const answer = yield* letters.redrive(
        { ids: ["1", "3"] },
        ({ done }) => Effect.sync(() => void progress.push(done))
      )
      assert.deepStrictEqual(answer, { done: 2, kept: 0, problems: [] })
      assert.deepStrictEqual(progress, [1, 2])
      const [first, ...rest] = yield* received("rooms")
      assert.deepStrictEqual(first, {
        ...letter("1"),
        topic: "rooms",
        headers: { tenant: "acme", [Consumer.redrivenFor]: "g" }
      })
      assert.deepStrictEqual(ids(rest), ["3"])
      assert.deepStrictEqual(ids(yield* letters.list()), ["2"])
    }).pipe(Effect.provide(Letters)))

  it.effect("keeps what does not say where it came from, and says so; it can be discarded", () =>
    Effect.gen(function*() {
      const letters = yield* ConsumerDeadLetters.ConsumerDeadLetters
      yield* publish(foreign("1"), letter("2"))
      const answer = yield* letters.redrive({})
      assert.deepInclude(answer, { done: 1, kept: 1 })
      assert.include(answer.problems[0], "does not say where it came from")
      assert.deepStrictEqual(ids(yield* letters.list()), ["1"])
      assert.strictEqual(yield* letters.discard({ ids: ["1"] }), 1)
      assert.deepStrictEqual(yield* letters.list(), [])
    }).pipe(Effect.provide(Letters)))

  it.effect("keeps what a topic does not take, and asks one that is out only once", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      let asked = 0
      const letters = yield* ConsumerDeadLetters.make({ group: "g" }).pipe(
        Effect.provideService(Broker.Broker, {
          ...broker,
          sift: <E, R>(
            queue: { readonly topic: string; readonly group: string },
            decide: (delivery: Broker.Delivery) => Effect.Effect<"settled" | "kept", E, R>
          ) =>
            broker.sift(queue, (delivery) =>
              decide({
                ...delivery,
                forward: (to) => {
                  if (to.topic !== "rooms") return delivery.forward(to)
                  asked += 1
                  return Effect.succeed(DestinationOut)
                }
              }))
        })
      )
      yield* publish(letter("1"), letter("2"), letter("3", { headers: { [headers.topic]: "openings" } }))
      const answer = yield* letters.redrive({})
      assert.deepInclude(answer, { done: 1, kept: 2 })
      assert.strictEqual(answer.problems.length, 1)
      assert.strictEqual(asked, 1)
      assert.deepStrictEqual(ids(yield* letters.list()), ["1", "2"])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.effect("interrupted midway has done what it has reported, and keeps the rest", () =>
    Effect.gen(function*() {
      const letters = yield* ConsumerDeadLetters.ConsumerDeadLetters
      yield* publish(letter("1"), letter("2"), letter("3"))
      const fiber = yield* Effect.fork(letters.discard({}, ({ done }) => done === 2 ? Effect.never : Effect.void))
      yield* settled
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ids(yield* letters.list()), ["2", "3"])
    }).pipe(Effect.provide(Letters)))

  it.effect("a name that is no text is refused", () =>
    Effect.gen(function*() {
      for (const options of [{ group: " " }, { group: "g", topic: "" }]) {
        const exit = yield* Effect.exit(ConsumerDeadLetters.make(options))
        assert.isTrue(Exit.isFailure(exit))
      }
    }).pipe(Effect.provide(Letters)))

  it.scoped("a letter that is redriven is handled by its group, which had not recorded it, and by no other", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      let isBroken = true
      const consumer = (group: string, broken: () => boolean) =>
        Consumer.layer({ subscription: { group }, events: [RoomClosed], inbox: true, retry: Schedule.stop }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, {
            fine: () => Effect.sync(() => void seen.push(`${group} fine`)),
            odd: () =>
              Effect.suspend(() => broken() ? Effect.fail("no") : Effect.sync(() => void seen.push(`${group} odd`)))
          }))
        )
      // nothing but the header keeps it from handling a message again
      const forgetful = Consumer.layer({ subscription: { group: "i" }, events: [RoomClosed] }).pipe(
        Layer.provide(Subscribers.layer(RoomClosed, { all: () => Effect.sync(() => void seen.push("i all")) }))
      )
      yield* Layer.build(Layer.mergeAll(consumer("g", () => isBroken), consumer("h", () => false), forgetful))
      yield* publish(message({ id: "1" }))
      yield* settled
      assert.sameMembers(seen.splice(0), ["g fine", "h fine", "h odd", "i all"])
      const letters = yield* ConsumerDeadLetters.ConsumerDeadLetters
      // redriven while it is still broken it dies again, and has one set of headers
      yield* letters.redrive({})
      yield* settled
      const [again, ...others] = yield* letters.list()
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(again!.message.headers, {
        [headers.reason]: "odd: an untagged failure",
        [headers.attempts]: "1",
        [headers.group]: "g",
        [headers.topic]: "rooms",
        [headers.time]: "1970-01-01T00:00:00.000Z"
      })
      isBroken = false
      yield* letters.redrive({})
      yield* TestClock.adjust("1 second")
      yield* settled
      assert.deepStrictEqual(seen, ["g odd"])
      assert.deepStrictEqual(yield* letters.list(), [])
    }).pipe(Effect.provide(Layer.mergeAll(Letters, Memory, Inbox.layerMemory, quiet))))

  it.scoped("a handler passes the headers of a redriven letter on, and other groups handle what it makes of them", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const broker = yield* Broker.Broker
      const relaying = Effect.flatMap(
        Message.Received,
        ({ headers, payload }) =>
          broker.publish([message({ id: "2", name: "noticed", topic: "notices", headers, payload })])
      )
      yield* Layer.build(Layer.merge(
        Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed] }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, { relaying: () => relaying }))
        ),
        Consumer.layer({ subscription: { group: "h", topics: ["notices"] }, events: [RoomClosed, Noticed] }).pipe(
          Layer.provide(Subscribers.layer(RoomClosed, { none: () => Effect.void })),
          Layer.provide(Subscribers.layer(Noticed, { h: ({ text }) => Effect.sync(() => void seen.push(text)) }))
        )
      ))
      const payload = new TextEncoder().encode(JSON.stringify({ room: "blue", n: 1, text: "closed" }))
      yield* publish(letter("1", { payload }))
      yield* ConsumerDeadLetters.ConsumerDeadLetters.pipe(Effect.flatMap((letters) => letters.redrive({})))
      yield* settled
      yield* publish(message({ id: "3", name: "noticed", topic: "notices", payload }))
      yield* settled
      assert.deepStrictEqual(seen, ["closed", "closed"])
    }).pipe(Effect.provide(Layer.merge(Letters, quiet))))
})
