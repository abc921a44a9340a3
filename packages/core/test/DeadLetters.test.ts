import { DeadLetters, OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, Layer, Option, Stream, TestClock } from "effect"
import { message } from "./fixtures.ts"

const { Settlement } = OutboxStorage

const layer = Layer.provideMerge(DeadLetters.layer, OutboxStorage.layerMemory())

/** Stores messages that are dead at once; their sequences. */
const die = (...messages: ReadonlyArray<Parameters<typeof message>[0] & { readonly reason?: string }>) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    const before = yield* storage.tail
    yield* storage.append(messages.map(({ reason: _, ...given }) => message(given)))
    const sequences = messages.map((_, n) => before + BigInt(n) + 1n)
    yield* storage.settle(
      0n,
      sequences.map((sequence, n) =>
        Settlement.Dead({ sequence, attempts: 3, policy: "halt", reason: messages[n]!.reason ?? "too long" })
      )
    )
    return sequences
  })

const ids = (letters: Iterable<OutboxStorage.DeadLetter>) => Array.from(letters, (letter) => letter.message.id)

const pending = Effect.flatMap(
  OutboxStorage.OutboxStorage,
  (storage) => Effect.map(storage.statistics, (one) => one.pending)
)

describe("DeadLetters", () => {
  it.effect("lists pages by sequence, of a topic, a key or a time if that is given", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters.DeadLetters
      yield* die({ id: "a" }, { id: "b", topic: "openings" })
      yield* TestClock.adjust("1 hour")
      yield* die({ id: "c", key: "red" }, { id: "d" })
      assert.deepStrictEqual(ids(yield* letters.list()), ["a", "b", "c", "d"])
      const first = yield* letters.list({ limit: 3 })
      assert.deepStrictEqual(ids(first), ["a", "b", "c"])
      assert.deepStrictEqual(ids(yield* letters.list({ after: first.at(-1)!.sequence })), ["d"])
      assert.deepStrictEqual(ids(yield* letters.list({ topic: "rooms" })), ["a", "c", "d"])
      assert.deepStrictEqual(ids(yield* letters.list({ topic: "rooms", key: "red" })), ["c"])
      const hour = DateTime.unsafeMake(3_600_000)
      assert.deepStrictEqual(ids(yield* letters.list({ since: hour })), ["c", "d"])
      assert.deepStrictEqual(ids(yield* letters.list({ until: hour })), ["a", "b"])
      assert.strictEqual(DateTime.toEpochMillis((yield* letters.list())[3]!.diedAt), 3_600_000)
    }).pipe(Effect.provide(layer)))

  it.effect("counts by topic and reason, most first", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters.DeadLetters
      yield* die({ topic: "openings" }, {}, {}, { reason: "malformed" }, {})
      assert.deepStrictEqual((yield* letters.count()).map(({ count, reason, topic }) => [count, topic, reason]), [
        [3, "rooms", "too long"],
        [1, "openings", "too long"],
        [1, "rooms", "malformed"]
      ])
      assert.deepStrictEqual((yield* letters.count({ topic: "openings" })).map(({ count }) => count), [1])
    }).pipe(Effect.provide(layer)))

  it.effect("shows one with its message, reason and attempts, and none that is not dead", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters.DeadLetters
      const storage = yield* OutboxStorage.OutboxStorage
      const [sequence] = yield* die({ id: "a", headers: { tenant: "acme" } })
      yield* storage.append([message({ id: "b" })])
      const found = Option.getOrThrow(yield* letters.inspect(sequence!))
      assert.deepStrictEqual([found.message.id, found.reason, found.attempts, found.policy], [
        "a",
        "too long",
        3,
        "halt"
      ])
      assert.deepStrictEqual(found.message.headers, { tenant: "acme" })
      assert.isTrue(Option.isNone(yield* letters.inspect(sequence! + 1n)))
      assert.isTrue(Option.isNone(yield* letters.inspect(sequence! - 1n)))
    }).pipe(Effect.provide(layer)))

  it.effect("redrives one, those of a topic, those of a time, or all", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters.DeadLetters
      const [first] = yield* die({ id: "a" }, { id: "b", topic: "openings" }, { id: "c" })
      yield* TestClock.adjust("1 hour")
      yield* die({ id: "d" }, { id: "e", topic: "openings" })
      assert.strictEqual(yield* letters.redrive({ sequences: [first!, 99n, first!] }), 1)
      assert.deepStrictEqual(ids(yield* letters.list()), ["b", "c", "d", "e"])
      assert.strictEqual(yield* letters.redrive({ topic: "openings" }), 2)
      assert.strictEqual(yield* letters.redrive({ until: DateTime.unsafeMake(3_600_000) }), 1)
      assert.strictEqual(yield* letters.redrive({}), 1)
      assert.strictEqual(yield* letters.redrive({}), 0)
      assert.strictEqual(yield* pending, 5)
    }).pipe(Effect.provide(layer)))

  it.effect("discards for good", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters.DeadLetters
      yield* die({ id: "a" }, { id: "b", topic: "openings" })
      assert.strictEqual(yield* letters.discard({ topic: "rooms" }), 1)
      assert.deepStrictEqual(ids(yield* letters.list()), ["b"])
      assert.strictEqual(yield* pending, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("goes through thousands in order and in steps, says how far it is, and an interrupted one can be resumed", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const calls: Array<ReadonlyArray<bigint>> = []
      const recording = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        redrive: (sequences: ReadonlyArray<bigint>) => {
          calls.push(sequences)
          return calls.length === 3 ? Effect.interrupt : storage.redrive(sequences)
        }
      })
      yield* die(...Array.from({ length: 2300 }, (_, n) => ({ id: `${n}` })))
      const done: Array<number> = []
      const redrive = Effect.flatMap(
        DeadLetters.DeadLetters,
        (letters) => letters.redrive({}, (progress) => Effect.sync(() => done.push(progress.done)))
      ).pipe(
        Effect.provide(Layer.provide(Layer.fresh(DeadLetters.layer), recording))
      )
      yield* Effect.exit(redrive)
      assert.deepStrictEqual(done, [500, 1000])
      assert.strictEqual(yield* redrive, 1300)
      const all = calls.filter((_, n) => n !== 2).flat()
      assert.deepStrictEqual(all, [...all].sort((a, b) => a < b ? -1 : 1))
      assert.strictEqual(yield* pending, 2300)
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("one that dies again while it goes on is not redriven twice", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const deadly = Layer.succeed(OutboxStorage.OutboxStorage, {
        ...storage,
        redrive: (sequences: ReadonlyArray<bigint>) =>
          Effect.zipLeft(
            storage.redrive(sequences),
            storage.settle(
              0n,
              sequences.map((sequence) => Settlement.Dead({ sequence, attempts: 1, policy: "halt", reason: "again" }))
            )
          )
      })
      yield* die(...Array.from({ length: 1200 }, () => ({})))
      const redriven = yield* Effect.flatMap(DeadLetters.DeadLetters, (letters) => letters.redrive({})).pipe(
        Effect.provide(Layer.provide(Layer.fresh(DeadLetters.layer), deadly))
      )
      assert.strictEqual(redriven, 1200)
    }).pipe(Effect.provide(OutboxStorage.layerMemory())))

  it.effect("streams all of them", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters.DeadLetters
      yield* die(...Array.from({ length: 1100 }, (_, n) => ({ id: `${n}` })))
      const all = yield* Stream.runCollect(letters.stream())
      assert.deepStrictEqual(ids(all), Array.from({ length: 1100 }, (_, n) => `${n}`))
      assert.strictEqual(Chunk.size(yield* Stream.runCollect(letters.stream({ topic: "openings" }))), 0)
    }).pipe(Effect.provide(layer)))
})
