import { OutboxStorage, Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, TestClock } from "effect"
import { Delivered, DestinationOut, Rejected, RoomClosed, Scripted } from "./fixtures.ts"
import {
  answering,
  commit,
  deadLetters,
  delivered,
  drain,
  Ground,
  manual,
  manualOn,
  numberOf,
  opening,
  room,
  sameBucket,
  statistics
} from "./support/relay.ts"

const many = 20_000

/** Counts reads, with what they were told. */
const counted = (reads: Array<Parameters<OutboxStorage.OutboxStorage["Type"]["read"]>[0]>) => ({
  storage: (storage: OutboxStorage.OutboxStorage["Type"]) => ({
    read: (options: Parameters<typeof storage.read>[0]) =>
      Effect.suspend(() => {
        reads.push(options)
        return storage.read(options)
      })
  })
})

describe("many events behind a halted key", () => {
  it.effect("other keys of its bucket are reached with few reads, and then with one", () =>
    Effect.gen(function*() {
      const reads: Array<Parameters<OutboxStorage.OutboxStorage["Type"]["read"]>[0]> = []
      const relay = yield* manualOn(counted(reads), { retry: Schedule.stop })
      const [other] = sameBucket("rooms", "blue")
      yield* answering((_, n) => n === 0 ? Rejected() : Delivered)
      yield* commit(...Array.from({ length: many }, (_, n) => room("blue", n)))
      yield* commit(room(other!, -1))
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [-1])
      assert.isBelow(reads.length, 10)
      // what is left out is not scanned again, either
      yield* relay.tick
      yield* TestClock.adjust("3 seconds")
      yield* relay.tick
      reads.length = 0
      yield* commit(room(other!, -2))
      yield* relay.tick
      assert.deepStrictEqual(yield* delivered, [-1, -2])
      assert.strictEqual(reads.length, 1)
      const range = reads[0]!.from.find(({ except }) => except !== undefined)!
      assert.deepInclude(range.except![0], { topic: "rooms", key: "blue" })
      assert.isAtLeast(Number(range.after), many)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("all of them follow in order once the dead letter is redriven", () =>
    Effect.gen(function*() {
      const storage = yield* OutboxStorage.OutboxStorage
      const relay = yield* Relay.Relay
      yield* answering((_, n) => n === 0 ? Rejected() : Delivered)
      yield* commit(...Array.from({ length: many }, (_, n) => room("blue", n)))
      yield* relay.drain
      yield* TestClock.adjust("3 seconds")
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [])
      yield* answering(() => Delivered)
      yield* storage.redrive([(yield* deadLetters)[0]!.sequence])
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, Array.from({ length: many }, (_, n) => n))
    }).pipe(Effect.provide(manual({ retry: Schedule.stop }))))

  it.effect("a few of them cost other keys of the bucket no wait", () =>
    Effect.gen(function*() {
      const relay = yield* Relay.Relay
      const [other] = sameBucket("rooms", "blue")
      yield* answering((_, n) => n === 0 ? Rejected() : Delivered)
      yield* commit(...Array.from({ length: 40 }, (_, n) => room("blue", n)))
      yield* relay.drain
      yield* commit(room(other!, -1))
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [-1])
    }).pipe(Effect.provide(manual({ retry: Schedule.stop }))))

  /** A relay, and an event among those behind a halted key that took its place and is not seen before it is shown. */
  const withLateCommit = Effect.gen(function*() {
    const [other] = sameBucket("rooms", "blue")
    const own = OutboxStorage.bucketOf({ topic: "rooms", key: "blue", id: "" }, 64)
    let isVisible = false
    const relay = yield* manualOn({
      storage: (storage) => ({
        // all is in one bucket
        read: (options) => {
          const { limit } = options.from.find(({ bucket }) => bucket === own)!
          const from = options.from.map((range) => ({ ...range, limit: range.limit! + 1 }))
          return Effect.map(
            storage.read({ ...options, from, limit: options.limit + 1 }),
            (entries) => entries.filter(({ message }) => isVisible || numberOf(message) !== -1).slice(0, limit)
          )
        }
      })
    }, { retry: Schedule.stop })
    yield* answering((_, n) => n === 0 ? Rejected() : Delivered)
    yield* commit(room("blue", 0), room(other!, -1), ...Array.from({ length: 1000 }, (_, n) => room("blue", n + 1)))
    return { relay, other: other!, show: () => void (isVisible = true) }
  })

  it.effect("one that commits late is not overtaken by its key because the relay has not looked meanwhile", () =>
    Effect.gen(function*() {
      const { other, relay, show } = yield* withLateCommit
      yield* relay.drain
      show()
      // as while the broker is out
      yield* TestClock.adjust("5 seconds")
      yield* commit(room(other, -2))
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [-1, -2])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("a transaction that took its place early and commits late is found in the end", () =>
    Effect.gen(function*() {
      const { relay, show } = yield* withLateCommit
      for (let second = 0; second < 5; second++) {
        yield* relay.drain
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(yield* delivered, [])
      show()
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [], "the place is passed over")
      yield* TestClock.adjust("10 seconds")
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [-1])
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})

describe("many events for a destination that is out", () => {
  it.effect("others are delivered with few reads, and it is tried with little", () =>
    Effect.gen(function*() {
      const reads: Array<Parameters<OutboxStorage.OutboxStorage["Type"]["read"]>[0]> = []
      const relay = yield* manualOn(counted(reads), { backoff: Schedule.spaced("10 seconds") })
      yield* answering(({ topic }) => topic === "rooms" ? DestinationOut : Delivered)
      yield* commit(...Array.from({ length: 5000 }, (_, n) => room(`room ${n % 50}`, n)))
      yield* commit(opening("blue", -1))
      yield* relay.drain
      assert.deepStrictEqual(yield* delivered, [-1])
      assert.isBelow(reads.length, 12)
      const { batches } = yield* Scripted
      batches.length = 0
      for (let tries = 0; tries < 5; tries++) {
        yield* TestClock.adjust("10 seconds")
        yield* relay.drain
      }
      const sent = batches.flat().filter(({ topic }) => topic === "rooms")
      assert.isAtMost(sent.length, 40)
      // others each time: some that cannot be delivered do not stand for all
      assert.isAbove(new Set(sent.map(({ key }) => key)).size, 5)
      assert.deepInclude(yield* statistics, { pending: 5000, dead: 0 })
      yield* answering(() => Delivered)
      yield* TestClock.adjust("10 seconds")
      yield* relay.drain
      assert.strictEqual((yield* delivered).length, 5001)
      const byKey = (key: string) => (yield_: ReadonlyArray<number>) => yield_.filter((n) => `room ${n % 50}` === key)
      const first = byKey("room 7")((yield* delivered).slice(1))
      assert.deepStrictEqual(first, [...first].sort((a, b) => a - b))
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})

describe("a batch that is refused as a whole", () => {
  /** While one of these is in a batch its destination takes nothing. */
  const refuseWith = (culprits: ReadonlySet<string>) =>
    Effect.map(Scripted, (script) => {
      script.publish = (batch) =>
        Effect.sync(() => {
          const isSpoilt = batch.some(({ key }) => culprits.has(key!))
          if (!isSpoilt) { for (const one of batch) script.delivered.push(one) }
          return batch.map(() => isSpoilt ? DestinationOut : Delivered)
        })
    })
  /** Time passes, and others go through: without them nothing can be told from an outage. */
  const recover = (relay: Relay.Relay["Type"]) =>
    Effect.repeatN(
      Effect.zipRight(TestClock.adjust("1 second"), Effect.zipRight(commit(room("another", 1000)), relay.drain)),
      99
    )

  it.effect("the culprit becomes a dead letter, the others are delivered, and no attempt is counted for them", () =>
    Effect.gen(function*() {
      const settled: Array<OutboxStorage.Settlement> = []
      const relay = yield* manualOn({
        storage: (storage) => ({
          settle: (token, settlements) => {
            for (const one of settlements) settled.push(one)
            return storage.settle(token, settlements)
          }
        })
      }, { retry: Schedule.stop })
      yield* refuseWith(new Set(["room 3"]))
      yield* commit(...Array.from({ length: 100 }, (_, n) => room(`room ${n % 20}`, n)))
      yield* relay.drain
      yield* recover(relay)
      const [letter, ...rest] = yield* deadLetters
      assert.strictEqual(letter!.message.key, "room 3")
      assert.include(letter!.reason, "It failed alone 5 times while others went through")
      assert.deepStrictEqual(rest, [])
      assert.strictEqual((yield* delivered).filter((n) => n < 1000).length, 95)
      assert.deepInclude(yield* statistics, { pending: 4, dead: 1 })
      assert.deepStrictEqual(settled.filter(({ _tag }) => _tag !== "Delivered").length, 1)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("many culprits before all others do not stand for their destination", () =>
    Effect.gen(function*() {
      const relay = yield* Relay.Relay
      const culprits = Array.from({ length: 20 }, (_, n) => `bad ${n}`)
      yield* refuseWith(new Set(culprits))
      yield* commit(...culprits.map((key, n) => room(key, n)))
      yield* commit(...Array.from({ length: 20 }, (_, n) => room(`good ${n}`, 100 + n)))
      yield* relay.drain
      yield* recover(relay)
      assert.deepInclude(yield* statistics, { pending: 0, dead: 20 })
      assert.strictEqual((yield* delivered).filter((n) => n < 1000).length, 20)
    }).pipe(Effect.provide(manual({ retry: Schedule.stop }))))

  it.effect("a culprit that is by itself in its lane is told from an outage by what other lanes deliver", () =>
    Effect.gen(function*() {
      const relay = yield* Relay.Relay
      const lane = (key: string) => OutboxStorage.bucketOf({ topic: "rooms", key, id: "" }, 64) % 2
      const healthy = Array.from({ length: 50 }, (_, n) => `good ${n}`).filter((key) => lane(key) !== lane("bad"))
      yield* refuseWith(new Set(["bad"]))
      yield* commit(room("bad", 0))
      for (let n = 0; n < 30; n++) {
        yield* commit(new RoomClosed({ room: healthy[n % healthy.length]!, n: 1 + n }))
        yield* relay.drain
        yield* TestClock.adjust("1 second")
      }
      yield* relay.drain
      assert.deepInclude(yield* statistics, { pending: 0, dead: 1 })
    }).pipe(Effect.provide(manual({ lanes: 2, retry: Schedule.stop }))))

  it.effect("one that fails alone with many behind it is tried again, and they follow", () =>
    Effect.gen(function*() {
      yield* refuseWith(new Set(["bad"]))
      yield* commit(room("bad", 0), room("good", 1))
      yield* drain
      yield* TestClock.adjust("1 second")
      yield* commit(room("good", 2))
      yield* drain
      // enough of them that they are left out of what is read
      yield* commit(...Array.from({ length: 500 }, (_, n) => room("bad", 10 + n)))
      yield* drain
      yield* refuseWith(new Set())
      yield* TestClock.adjust("10 seconds")
      yield* drain
      assert.deepInclude(yield* statistics, { pending: 0, dead: 0 })
      assert.strictEqual((yield* delivered).length, 503)
    }).pipe(Effect.provide(manual())))
})
