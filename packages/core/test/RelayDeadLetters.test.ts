import { OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, TestClock } from "effect"
import { Delivered, Rejected, Scripted, settled } from "./fixtures.ts"
import {
  answering,
  commit,
  deadLetters,
  delivered,
  everySecond,
  Ground,
  manualOn,
  numberOf,
  room
} from "./support/relay.ts"

const halting = { retry: Schedule.stop, lanes: 1 } satisfies Relay.Options

/** Time passes, a poll at a time. */
const polls = (count: number) => Effect.repeatN(Effect.zipRight(TestClock.adjust("1 second"), settled), count - 1)

describe("dead letters", () => {
  for (const change of ["redrive", "discard"] as const) {
    const expected = change === "redrive" ? [1, 2, 3] : [2, 3]

    it.effect(`${change} by another process is found by the poll, and what was behind follows in order`, () =>
      Effect.gen(function*() {
        const storage = yield* OutboxStorage.OutboxStorage
        // what another process does wakes nobody here
        const silent = yield* Effect.provide(OutboxStorage.OutboxStorage, OutboxStorage.layerMemory())
        yield* Layer.build(Layer.provide(
          Relay.layer(halting),
          Layer.succeed(OutboxStorage.OutboxStorage, { ...storage, arrivals: silent.arrivals })
        ))
        yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
        yield* commit(room("blue", 1), room("blue", 2), room("blue", 3))
        yield* polls(2)
        yield* answering(() => Delivered)
        yield* storage[change]((yield* deadLetters).map(({ sequence }) => sequence))
        yield* polls(3)
        assert.deepStrictEqual(yield* delivered, expected)
      }).pipe(Effect.scoped, Effect.provide(Ground)))

    it.effect(`${change} in this process is found at once`, () =>
      Effect.gen(function*() {
        const storage = yield* OutboxStorage.OutboxStorage
        yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
        yield* commit(room("blue", 1), room("blue", 2), room("blue", 3))
        yield* settled
        yield* TestClock.adjust("5 seconds")
        yield* answering(() => Delivered)
        yield* storage[change]((yield* deadLetters).map(({ sequence }) => sequence))
        yield* settled
        assert.deepStrictEqual(yield* delivered, expected)
      }).pipe(Effect.provide(Layer.provideMerge(Relay.layer({ ...halting, pollInterval: "10 seconds" }), Ground))))
  }

  it.effect("what another process does is found within one poll, however often the relay has looked for others", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const silent = yield* Effect.provide(OutboxStorage.OutboxStorage, OutboxStorage.layerMemory())
      yield* Layer.build(Layer.provide(
        Relay.layer({ ...halting, pollInterval: "16 seconds" }),
        Layer.succeed(OutboxStorage.OutboxStorage, { ...storage, arrivals: silent.arrivals })
      ))
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2))
      yield* Effect.repeat(polls(1), { until: () => Effect.map(deadLetters, (dead) => dead.length > 0) })
      yield* storage.discard([1n])
      yield* polls(16)
      assert.deepStrictEqual(yield* delivered, [2])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("one that is redriven while the relay still takes it for dead is followed by those behind it", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      let revision = 0
      // the relay learns of it one step later than the row is there
      const relay = yield* manualOn({ storage: () => ({ revision: Effect.sync(() => revision) }) }, halting)
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2))
      yield* relay.drain
      yield* answering(() => Delivered)
      yield* storage.redrive([1n])
      yield* relay.drain
      revision = 1
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [1, 2])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("what was behind one that is delivered at last, or skipped, comes next, without a poll", () =>
    Effect.gen(function*() {
      for (const exhausted of ["halt", "skip"] as const) {
        const script = yield* Scripted
        script.delivered.length = 0
        const relay = yield* manualOn({}, { retry: Schedule.intersect(everySecond, Schedule.recurs(1)), exhausted })
        yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
        yield* commit(room(exhausted, 1), room(exhausted, 2), room(exhausted, 3))
        yield* relay.drain
        if (exhausted === "halt") yield* answering(() => Delivered)
        yield* TestClock.adjust("1 second")
        yield* relay.drain
        assert.deepStrictEqual(yield* delivered, exhausted === "halt" ? [1, 2, 3] : [2, 3])
      }
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("an entry that somebody has removed while it waited does not hold back its key", () =>
    Effect.gen(function*() {
      const relay = yield* manualOn({
        storage: (storage) => ({
          pending: (sequences) => storage.pending(sequences.filter((sequence) => sequence !== 1n))
        })
      }, { retry: everySecond })
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2))
      yield* relay.drain
      yield* TestClock.adjust("1 second")
      yield* relay.drain
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [2])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("one that is no message is buried behind those of its key, and halts it", () =>
    Effect.gen(function*() {
      const relay = yield* manualOn({
        storage: (storage) => {
          const spoil = (entries: ReadonlyArray<OutboxStorage.Entry>) =>
            entries.map((one) => numberOf(one.message) === 2 ? { ...one, malformed: "nonsense" } : one)
          return {
            read: (options) => Effect.map(storage.read(options), spoil),
            pending: (sequences) => Effect.map(storage.pending(sequences), spoil)
          }
        }
      }, { retry: everySecond })
      yield* answering((_, n) => n === 1 ? Rejected() : Delivered)
      yield* commit(room("blue", 1), room("blue", 2), room("blue", 3))
      yield* relay.drain
      assert.deepStrictEqual(yield* deadLetters, [])
      yield* answering(() => Delivered)
      yield* TestClock.adjust("1 second")
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [1])
      assert.deepStrictEqual((yield* deadLetters).map(({ reason }) => reason), ["nonsense"])
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})
