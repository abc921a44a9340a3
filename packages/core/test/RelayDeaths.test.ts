import { type BucketOwner, OutboxStorage, type Relay } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, TestClock } from "effect"
import {
  BrokerOut,
  Delivered,
  DestinationOut,
  holding,
  membership,
  message,
  Rejected,
  Scripted,
  settled
} from "./fixtures.ts"
import {
  answering,
  commit,
  deadLetters,
  delivered,
  Ground,
  manualOn,
  room,
  sameBucket,
  statistics
} from "./support/relay.ts"

const buckets = 64
const bucketOf = (key: string) => OutboxStorage.bucketOf({ topic: "rooms", key, id: "" }, buckets)
const blue = bucketOf("blue")

/** What a relay notes about the buckets of those that died: `suspect 3 17`, `acquit 3`. */
const noting = (suspicions: ReadonlyMap<number, BucketOwner.Suspicion>, notes: Array<string>) =>
  membership(Effect.succeed(holding({ suspicions })), {
    suspect: (bucket, sequence) =>
      Effect.sync(() => {
        notes.push(`suspect ${bucket} ${sequence}`)
        return true
      }),
    acquit: (some) => Effect.sync(() => void notes.push(`acquit ${[...some].sort((a, b) => a - b).join(" ")}`))
  })

const suspicion = (deaths: number, suspect?: readonly [sequence: number, deaths: number]): BucketOwner.Suspicion => ({
  deaths,
  suspect: suspect === undefined ? undefined : { sequence: BigInt(suspect[0]), deaths: suspect[1] }
})

const relayOn = (
  suspicions: ReadonlyArray<readonly [bucket: number, BucketOwner.Suspicion]>,
  options?: Relay.Options
) =>
  Effect.gen(function*() {
    const notes: Array<string> = []
    const relay = yield* manualOn({ membership: noting(new Map(suspicions), notes) }, options)
    return { relay, notes }
  })

describe("after deaths of a bucket's owners", () => {
  it.effect("fewer of its entries are in flight, and more again as they pass", () =>
    Effect.gen(function*() {
      const { relay } = yield* relayOn([[blue, suspicion(2)]])
      yield* commit(...Array.from({ length: 100 }, (_, n) => room("blue", n)))
      yield* relay.drain
      assert.deepStrictEqual((yield* Scripted).batches.map((batch) => batch.length), [8, 8, 8, 8, 8, 8, 8, 8, 36])
      assert.deepStrictEqual(yield* delivered, Array.from({ length: 100 }, (_, n) => n))
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("other buckets are not narrowed", () =>
    Effect.gen(function*() {
      const { relay } = yield* relayOn([[blue, suspicion(2)]])
      yield* commit(...Array.from({ length: 10 }, (_, n) => room("blue", n)))
      yield* commit(...Array.from({ length: 10 }, (_, n) => room("red", n)))
      yield* relay.drain
      assert.deepStrictEqual((yield* Scripted).batches.map((batch) => batch.length), [18, 2])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("entries behind a waiting one do not stand in the way of the others in the narrow window", () =>
    Effect.gen(function*() {
      const [other] = sameBucket("rooms", "blue")
      for (const deaths of [2, 3]) {
        const { relay } = yield* relayOn([[blue, suspicion(deaths)]], { retry: Schedule.stop })
        yield* answering((_, n) => n === 0 ? Rejected() : Delivered)
        yield* commit(...Array.from({ length: 50 }, (_, n) => room("blue", n)))
        yield* commit(room(other!, deaths * 100))
        yield* relay.drain
        yield* relay.drain
        assert.include(yield* delivered, deaths * 100)
      }
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("an entry that is alone in flight is written down before it is published", () =>
    Effect.gen(function*() {
      const { notes, relay } = yield* relayOn([[blue, suspicion(3)]])
      const script = yield* Scripted
      script.publish = (batch) =>
        Effect.sync(() => {
          notes.push(`publish ${batch.map(({ sequence }) => sequence).join(" ")}`)
          return batch.map(() => Delivered)
        })
      yield* commit(room("blue", 1), room("blue", 2))
      yield* relay.drain
      assert.deepStrictEqual(notes, [
        `suspect ${blue} 1`,
        "publish 1",
        `suspect ${blue} 2`,
        "publish 2",
        `acquit ${blue}`
      ])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("is not published if the relay's token was superseded", () =>
    Effect.gen(function*() {
      const relay = yield* manualOn({
        membership: membership(Effect.succeed(holding({ suspicions: new Map([[blue, suspicion(3)]]) })), {
          suspect: () => Effect.succeed(false)
        })
      })
      yield* commit(room("blue", 1))
      yield* relay.drain
      assert.deepStrictEqual((yield* Scripted).batches, [])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("nothing else of the relay is in flight meanwhile, and the others do not keep it waiting for ever", () =>
    Effect.gen(function*() {
      const { relay } = yield* relayOn([[blue, suspicion(3)]], { lanes: 4 })
      const script = yield* Scripted
      const keys = Array.from({ length: 40 }, (_, n) => `room ${n}`).filter((key) => bucketOf(key) % 4 !== blue % 4)
      let inFlight = 0
      const together: Array<number> = []
      script.publish = (batch) =>
        Effect.gen(function*() {
          inFlight += 1
          if (batch[0]!.key === "blue") together.push(inFlight)
          yield* Effect.sleep("10 millis")
          if (batch[0]!.key === "blue") together.push(inFlight)
          inFlight -= 1
          for (const one of batch) script.delivered.push(one)
          return batch.map(() => Delivered)
        })
      yield* commit(room("blue", 1), ...keys.map((key, n) => room(key, 10 + n)))
      const draining = yield* Effect.fork(relay.drain)
      for (let n = 0; n < 20; n++) {
        yield* settled
        yield* TestClock.adjust("10 millis")
      }
      yield* Fiber.join(draining)
      assert.strictEqual((yield* delivered).length, keys.length + 1)
      assert.deepStrictEqual(together, [1, 1])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("one that was alone at so many deaths becomes a dead letter, with no attempt, and nobody else does", () =>
    Effect.gen(function*() {
      const { relay } = yield* relayOn([[blue, suspicion(8, [1, 5])]])
      const [other] = sameBucket("rooms", "blue")
      yield* commit(room("blue", 1), room("blue", 2), room(other!, 3))
      yield* relay.drain
      const letters = yield* deadLetters
      assert.deepStrictEqual(letters.map(({ attempts, sequence }) => [sequence, attempts]), [[1n, 0]])
      assert.include(letters[0]!.reason, "died 5 times in a row while this event was alone in flight")
      assert.deepStrictEqual(yield* delivered, [3])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("one death fewer, or deaths with another entry, are not enough", () =>
    Effect.gen(function*() {
      for (const [sequence, deaths] of [[1, 4], [77, 50]] as const) {
        const { relay } = yield* relayOn([[blue, suspicion(8, [sequence, deaths])]])
        yield* commit(room("blue", 1))
        yield* relay.drain
        assert.deepInclude(yield* statistics, { pending: 0, dead: 0 })
      }
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("an outcome clears the entry: a death while it waits is none of its doing", () =>
    Effect.gen(function*() {
      for (const outcome of [BrokerOut, DestinationOut, Rejected()]) {
        const { notes, relay } = yield* relayOn([[blue, suspicion(3)]])
        yield* answering(() => outcome)
        yield* commit(room("blue", 1))
        yield* relay.drain
        assert.strictEqual(notes[0]!.split(" ")[0], "suspect")
        assert.strictEqual(notes[1], `suspect ${blue} undefined`)
        yield* answering(() => Delivered)
        yield* TestClock.adjust("10 seconds")
        yield* relay.drain
        assert.deepInclude(yield* statistics, { pending: 0, dead: 0 })
      }
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("a broker that was out is tried even if all that is there is suspected", () =>
    Effect.gen(function*() {
      const { relay } = yield* relayOn(Array.from({ length: buckets }, (_, bucket) => [bucket, suspicion(4)]))
      yield* commit(room("blue", 1), room("red", 2))
      yield* answering(() => BrokerOut)
      yield* relay.drain
      yield* answering(() => Delivered)
      yield* TestClock.adjust("10 seconds")
      yield* relay.drain
      assert.deepInclude(yield* statistics, { pending: 0, dead: 0 })
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("a bucket that is empty is acquitted, one that has something to try again is not", () =>
    Effect.gen(function*() {
      const red = bucketOf("red")
      const { notes, relay } = yield* relayOn([[blue, suspicion(1)], [red, suspicion(3)]])
      yield* answering(() => Rejected())
      yield* commit(room("red", 1))
      yield* relay.drain
      yield* relay.drain
      assert.deepStrictEqual(notes.filter((note) => note.startsWith("acquit")), [`acquit ${blue}`])
      yield* answering(() => Delivered)
      yield* TestClock.adjust("1 second")
      yield* relay.drain
      assert.deepStrictEqual(notes.at(-1), `acquit ${red}`)
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("an acquittal that could not be written is repeated", () =>
    Effect.gen(function*() {
      const acquitted: Array<ReadonlyArray<number>> = []
      const relay = yield* manualOn({
        membership: membership(Effect.succeed(holding({ suspicions: new Map([[blue, suspicion(1)]]) })), {
          acquit: (some) =>
            Effect.suspend(() =>
              acquitted.push(some) === 1
                ? new OutboxStorage.StorageError({ reason: "Unavailable", message: "gone" })
                : Effect.void
            )
        })
      })
      yield* Effect.exit(relay.tick)
      yield* relay.tick
      yield* relay.tick
      assert.deepStrictEqual(acquitted, [[blue], [blue]])
    }).pipe(Effect.scoped, Effect.provide(Ground)))

  it.effect("what is no message is not published alone, either", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const relay = yield* manualOn({
        membership: noting(new Map([[blue, suspicion(3)]]), notes),
        storage: (storage) => ({
          read: (options) =>
            Effect.map(storage.read(options), (entries) =>
              entries.map((entry) => ({ ...entry, malformed: "its headers are no JSON" })))
        })
      })
      const storage = yield* OutboxStorage.OutboxStorage
      yield* storage.append([message()])
      yield* relay.drain
      assert.strictEqual((yield* deadLetters)[0]!.reason, "its headers are no JSON")
      assert.deepStrictEqual(
        notes.filter((note) =>
          note.startsWith("suspect")
        ).length,
        1
      )
      assert.deepStrictEqual((yield* Scripted).batches, [])
    }).pipe(Effect.scoped, Effect.provide(Ground)))
})
