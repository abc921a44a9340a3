import { Broker, BucketOwner, Event, type Message, OutboxStorage, Relay, Transactor } from "@effect-cqrs/core"
import { Cause, Context, Effect, Exit, Layer, Logger, Option, Schema } from "effect"

export class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
  topic: "rooms",
  payload: { room: Schema.String, n: Schema.Number },
  key: (event) => event.room
}) {}

export class RoomOpened extends Event.ecst<RoomOpened>()("room_opened", {
  topic: "openings",
  payload: { room: Schema.String, n: Schema.Number },
  key: (event) => event.room,
  version: 3
}) {}

export class Noticed extends Event.notification<Noticed>()("noticed", {
  topic: "notices",
  payload: { text: Schema.String }
}) {}

let ids = 0

/** A message as a relay or a broker sees it; what is not given does not matter. */
export const message = (given: Partial<Message.Message> = {}): Message.Message => ({
  id: `message-${++ids}`,
  name: "room_closed",
  kind: "notification",
  version: 1,
  topic: "rooms",
  key: "blue",
  source: "/tests",
  time: 0,
  correlationId: "correlation",
  causationId: undefined,
  traceparent: undefined,
  sequence: undefined,
  contentType: "application/json",
  contentEncoding: "identity",
  headers: {},
  payload: new TextEncoder().encode(JSON.stringify({ room: "blue", n: 1 })),
  ...given
})

/** The transactor and the outbox of this process. */
export const Memory = Layer.provideMerge(Transactor.layerMemory, OutboxStorage.layerMemory())

/** All buckets, from their beginnings. */
export const everywhere = (buckets: number): ReadonlyArray<OutboxStorage.Range> =>
  Array.from({ length: buckets }, (_, bucket) => ({ bucket }))

/** What a relay holds that owns everything for ever, but for what is given. */
export const holding = (given: Partial<BucketOwner.Holding> = {}): BucketOwner.Holding => ({
  token: 1n,
  buckets: Array.from({ length: 64 }, (_, bucket) => bucket),
  surplus: [],
  suspicions: new Map(),
  trustedUntil: 2n ** 63n,
  ...given
})

/** A membership that holds what it is told to. */
export const membership = (
  holds: Effect.Effect<BucketOwner.Holding>,
  given: Partial<BucketOwner.Membership> = {}
): BucketOwner.Membership => ({
  holding: holds,
  changes: { version: Effect.succeed(0), waitPast: () => Effect.never },
  release: () => Effect.void,
  suspect: () => Effect.succeed(true),
  acquit: () => Effect.void,
  report: () => Effect.void,
  ...given
})

/** An owner that gives out this membership, and that nobody watches. */
export const ownerOf = (join: BucketOwner.BucketOwner["Type"]["join"]): BucketOwner.BucketOwner["Type"] => ({
  join,
  ownership: Effect.die("nobody asks")
})

/** Ids of what waits in the outbox, by sequence. */
export const pending = Effect.flatMap(OutboxStorage.OutboxStorage, (storage) =>
  Effect.map(
    storage.read({
      from: everywhere(storage.buckets),
      limit: Number.MAX_SAFE_INTEGER,
      maxBytes: Number.MAX_SAFE_INTEGER,
      exceptTopics: []
    }),
    (entries) => entries.map((entry) => entry.message)
  ))

/** A broker that answers as it is told and keeps what it delivered. */
export class Scripted extends Context.Tag("test/Scripted")<Scripted, {
  /** Says what becomes of a message, unless an earlier one of its topic and key in the batch was not delivered. */
  answer: (message: Message.Message) => Broker.Outcome
  /** Replaces all of `publish`. */
  publish: ((batch: ReadonlyArray<Message.Message>) => Effect.Effect<ReadonlyArray<Broker.Outcome>>) | undefined
  /** What was delivered, in order. */
  delivered: Array<Message.Message>
  /** Each call of `publish`. */
  batches: Array<ReadonlyArray<Message.Message>>
}>() {}

export const Delivered = Broker.Outcome.Delivered()
export const Rejected = (reason = "malformed") => Broker.Outcome.Rejected({ reason })
export const BrokerOut = Broker.Outcome.Retriable({ scope: "broker", reason: "connection refused" })
export const DestinationOut = Broker.Outcome.Retriable({ scope: "destination", reason: "no such topic" })

export const layerScripted = Layer.effectContext(Effect.sync(() => {
  const script: Context.Tag.Service<Scripted> = {
    answer: () => Delivered,
    publish: undefined,
    delivered: [],
    batches: []
  }
  const broker = Broker.Broker.of({
    publish: (batch) =>
      Effect.suspend(() => {
        script.batches.push(batch)
        if (script.publish !== undefined) return script.publish(batch)
        const held = new Set<string>()
        return Effect.succeed(batch.map((one) => {
          const lane = JSON.stringify([one.topic, one.key])
          if (one.key !== undefined && held.has(lane)) {
            return Broker.Outcome.Retriable({ scope: "destination", reason: "An earlier message of its key failed" })
          }
          const outcome = script.answer(one)
          if (outcome._tag === "Delivered") script.delivered.push(one)
          else held.add(lane)
          return outcome
        }))
      }),
    consume: () => Effect.die("nobody consumes here"),
    sift: () => Effect.die("nobody consumes here")
  })
  return Context.make(Scripted, script).pipe(Context.add(Broker.Broker, broker))
}))

/** What a relay stands on, with the scripted broker. */
export const RelayGround = BucketOwner.layerSingle.pipe(Layer.provideMerge(Memory), Layer.provideMerge(layerScripted))

export const relay = (options?: Relay.Options) => Layer.provideMerge(Relay.layer(options), RelayGround)

/** Lets every other fiber run until all of them wait. */
export const settled = Effect.forEach(
  Array.from({ length: 50 }),
  // consumers let the event loop have its turn now and then
  (_, n) => n % 10 === 9 ? Effect.promise(() => new Promise((resolve) => setImmediate(resolve))) : Effect.yieldNow(),
  { discard: true }
)

/** A broker that hands out some messages otherwise than they were published. */
export const received = (change: (id: string) => Partial<Broker.Delivery>) =>
  Layer.effect(
    Broker.Broker,
    Effect.map(Broker.Broker, (broker) => ({
      ...broker,
      consume: (subscription: Broker.Subscription) =>
        Effect.map(broker.consume(subscription), (source): Broker.Source => ({
          ...source,
          takeMany: (limit) =>
            Effect.map(source.takeMany(limit), (many) => many.map((one) => ({ ...one, ...change(one.message.id) })))
        }))
    }))
  ).pipe(Layer.provide(Broker.layerMemory()))

/** Log entries as text: level, message, annotations. */
export class Logs extends Context.Tag("test/Logs")<Logs, Array<string>>() {}

export const layerLogs = Layer.unwrapEffect(Effect.sync(() => {
  const lines: Array<string> = []
  return Layer.merge(
    Layer.succeed(Logs, lines),
    Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ annotations, cause, logLevel, message }) => {
        const parts = Array.isArray(message) ? message : [message]
        lines.push(
          `${logLevel.label} ${
            parts.map((part) => Cause.isCause(part) ? Cause.pretty(part) : String(part)).join(" ")
          } ` +
            `${JSON.stringify(Object.fromEntries(annotations))}${Cause.isEmpty(cause) ? "" : Cause.pretty(cause)}`
        )
      })
    )
  )
}))

/** No log output, for tests of what is logged on purpose. */
export const quiet = Logger.remove(Logger.defaultLogger)

export const failureOf = <A, E>(exit: Exit.Exit<A, E>): E | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined

export const defectOf = <A, E>(exit: Exit.Exit<A, E>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined
