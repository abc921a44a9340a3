import { type Broker, BucketOwner, type Message, Outbox, OutboxStorage, Relay, Transaction } from "@effect-cqrs/core"
import { type Duration, Effect, Layer, Schedule, TestClock } from "effect"
import type { Noticed } from "../fixtures.ts"
import { ownerOf, quiet, relay, RelayGround, RoomClosed, RoomOpened, Scripted, settled } from "../fixtures.ts"

/** Commits events; `room n` goes to the topic of rooms with the room as its key. */
export const commit = (...events: ReadonlyArray<RoomClosed | RoomOpened | Noticed>) =>
  Transaction.run(Outbox.addAll(events))
export const room = (key: string, n: number) => new RoomClosed({ room: key, n })
export const opening = (key: string, n: number) => new RoomOpened({ room: key, n })

export const numberOf = (one: Message.Message): number => JSON.parse(new TextDecoder().decode(one.payload)).n

export const delivered = Effect.map(Scripted, (script) => script.delivered.map(numberOf))
export const answering = (answer: (message: Message.Message, n: number) => Broker.Outcome) =>
  Effect.map(Scripted, (script) => {
    script.answer = (one) => answer(one, numberOf(one))
  })
export const statistics = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.statistics)
export const deadLetters = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) => storage.deadLetters({ limit: 100 }))

export const everySecond = Schedule.spaced("1 second")
export const tick = Effect.flatMap(Relay.Relay, (one) => one.tick)
export const drain = Effect.flatMap(Relay.Relay, (one) => one.drain)

/** A relay of one lane that moves when it is told to. */
export const manual = (options?: Relay.Options) =>
  Layer.scoped(Relay.Relay, Relay.make({ lanes: 1, ...options })).pipe(
    Layer.provideMerge(RelayGround),
    Layer.provideMerge(quiet)
  )

/** A relay with its fiber. */
export const running = (options?: Relay.Options) => Layer.provideMerge(relay(options), quiet)

/** Time passes, from one sleeper to the next; then all that was woken runs. */
export const pass = (duration: Duration.DurationInput) => Effect.zipRight(TestClock.adjust(duration), settled)

/** A relay of one lane that moves when it is told to, on a changed storage and with what it is told to hold. */
export const manualOn = (
  given: {
    readonly storage?: (
      storage: OutboxStorage.OutboxStorage["Type"]
    ) => Partial<OutboxStorage.OutboxStorage["Type"]>
    readonly membership?: BucketOwner.Membership
  },
  options?: Relay.Options
) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    const owner = given.membership === undefined
      ? yield* BucketOwner.BucketOwner
      : ownerOf(Effect.succeed(given.membership))
    return yield* Relay.make({ lanes: 1, ...options }).pipe(
      Effect.provideService(OutboxStorage.OutboxStorage, { ...storage, ...given.storage?.(storage) }),
      Effect.provideService(BucketOwner.BucketOwner, owner)
    )
  })

/** What a relay stands on, and no log output. */
export const Ground = Layer.provideMerge(RelayGround, quiet)

/** Events of other keys that are in the bucket of a key. */
export const sameBucket = (topic: string, key: string, buckets = 64): ReadonlyArray<string> => {
  const bucket = OutboxStorage.bucketOf({ topic, key, id: "" }, buckets)
  return Array.from({ length: 5000 }, (_, n) => `other ${n}`).filter((other) =>
    OutboxStorage.bucketOf({ topic, key: other, id: "" }, buckets) === bucket
  )
}
