import {
  Bootstrap,
  BucketOwner,
  Command,
  Consumer,
  Event,
  EventEmitter,
  Handler,
  Mediator,
  Outbox,
  OutboxStorage,
  Relay,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigError, ConfigProvider, Context, Effect, Exit, Layer, Option, Ref, Schema } from "effect"
import {
  failureOf,
  holding,
  layerScripted,
  membership,
  ownerOf,
  quiet,
  RoomClosed,
  Scripted,
  settled
} from "./fixtures.ts"

class Seen extends Context.Tag("test/Seen")<Seen, Array<string>>() {}
const layerSeen = Layer.sync(Seen, () => [])
const see = (what: string) => Effect.flatMap(Seen, (seen) => Effect.sync(() => void seen.push(what)))

class Happened extends Event.domain<Happened>()("BootstrapHappened", {}) {}
class Close extends Command.make<Close>()("BootstrapClose", {
  payload: { room: Schema.String },
  middleware: [Transaction.Transactional]
}) {}

const CloseHandler = Handler.layer(Close, (command) =>
  Effect.gen(function*() {
    yield* Effect.orDie(Outbox.add(new RoomClosed({ room: command.room, n: 1 })))
    yield* EventEmitter.emit(new Happened())
  }))

describe("Bootstrap.layer", () => {
  it.effect("without options is a whole: a command's event reaches a consumer through the relay", () =>
    Effect.gen(function*() {
      yield* Mediator.send(new Close({ room: "blue" }))
      yield* settled
      yield* settled
      assert.deepStrictEqual(yield* Seen, ["happened", "consumed blue"])
    }).pipe(Effect.provide(
      Layer.merge(CloseHandler, Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], inbox: true }))
        .pipe(
          Layer.provide(Subscribers.layer(RoomClosed, { see: (event) => see(`consumed ${event.room}`) })),
          Layer.provide(Subscribers.layer(Happened, { see: () => see("happened") })),
          Layer.provideMerge(Bootstrap.layer()),
          Layer.provideMerge(layerSeen)
        )
    )))

  const announce = Transaction.run(Outbox.add(new RoomClosed({ room: "blue", n: 1 })))
  const drain = Effect.flatMap(Relay.Relay, (relay) => relay.drain)

  it.effect("hands its options on", () =>
    Effect.gen(function*() {
      yield* Effect.repeatN(announce, 2)
      yield* drain
      const { batches, delivered } = yield* Scripted
      assert.isAbove(batches.length, 2)
      assert.strictEqual(delivered[0]!.source, "/rooms")
      const policy = yield* EventEmitter.Policy
      assert.deepStrictEqual(policy, { maxDepth: 3 })
    }).pipe(Effect.provide(
      Bootstrap.layer({
        broker: layerScripted,
        relay: { batchSize: 1 },
        serialization: { source: "/rooms" },
        emitter: { maxDepth: 3 }
      }).pipe(Layer.provideMerge(layerScripted))
    )))

  it.effect("takes another broker, storage and owner", () =>
    Effect.gen(function*() {
      const joined = yield* Ref.make(false)
      const owner = Layer.succeed(
        BucketOwner.BucketOwner,
        ownerOf(
          Effect.as(Ref.set(joined, true), membership(Effect.succeed(holding({ buckets: [] }))))
        )
      )
      const storage = Layer.merge(
        Layer.map(Bootstrap.layerStorageMemory, (context) => {
          const own = Context.get(context, OutboxStorage.OutboxStorage)
          return Context.add(context, OutboxStorage.OutboxStorage, { ...own, buckets: 7 })
        }),
        owner
      )
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* OutboxStorage.OutboxStorage).buckets, 7)
        yield* announce
        yield* drain
        assert.deepStrictEqual((yield* Scripted).batches, [])
        assert.isTrue(yield* Ref.get(joined))
      }).pipe(Effect.provide(
        Bootstrap.layer({ broker: layerScripted, storage }).pipe(Layer.provideMerge(layerScripted))
      ))
    }))

  it.effect("an invalid option is an error of the layer", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Bootstrap.layer({ relay: { batchSize: 0 } }))))
      assert.instanceOf(failureOf(exit), Relay.RelayError)
    }))
})

describe("Bootstrap.layerConfig", () => {
  const withConfig = (values: Readonly<Record<string, string>>) =>
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))

  it.effect("reads every key, and prefers them to the options", () =>
    Effect.gen(function*() {
      const config = yield* withConfig({
        CQRS_SOURCE: "/rooms",
        CQRS_MAX_PAYLOAD_BYTES: "1000",
        CQRS_RELAY_LANES: "2",
        CQRS_RELAY_BATCH_SIZE: "7",
        CQRS_RELAY_MAX_BATCH_BYTES: "70",
        CQRS_RELAY_POLL_INTERVAL: "5 seconds",
        CQRS_RELAY_GRACE: "1 minute",
        CQRS_RELAY_RETENTION: "2 days",
        CQRS_RELAY_MAX_DEATHS: "6",
        CQRS_RELAY_MAX_LONE_FAILURES: "8",
        CQRS_EMITTER_CONCURRENCY: "3",
        CQRS_EMITTER_MAX_DEPTH: "4"
      })(Bootstrap.config)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(config)), {
        relay: {
          lanes: 2,
          batchSize: 7,
          maxBatchBytes: 70,
          pollInterval: { _id: "Duration", _tag: "Millis", millis: 5000 },
          grace: { _id: "Duration", _tag: "Millis", millis: 60_000 },
          retention: { _id: "Duration", _tag: "Millis", millis: 172_800_000 },
          maxDeaths: 6,
          maxLoneFailures: 8
        },
        serialization: { source: "/rooms", maxPayloadBytes: 1000 },
        emitter: { concurrency: 3, maxDepth: 4 }
      })
      const policy = yield* EventEmitter.Policy.pipe(
        Effect.provide(Bootstrap.layerConfig({ emitter: { maxDepth: 9, concurrency: 2 } })),
        withConfig({ CQRS_EMITTER_MAX_DEPTH: "4" })
      )
      assert.deepStrictEqual(policy, { maxDepth: 4, concurrency: 2 })
    }).pipe(Effect.provide(quiet)))

  it.effect("needs no key at all", () =>
    Effect.gen(function*() {
      const exit = yield* withConfig({})(Effect.exit(Effect.scoped(Layer.build(Bootstrap.layerConfig()))))
      assert.isTrue(Exit.isSuccess(exit))
    }))

  for (
    const [key, value] of [
      ["CQRS_MAX_PAYLOAD_BYTES", "0"],
      ["CQRS_RELAY_BATCH_SIZE", "many"],
      ["CQRS_RELAY_BATCH_SIZE", "1.5"],
      ["CQRS_RELAY_MAX_BATCH_BYTES", "-1"],
      ["CQRS_RELAY_POLL_INTERVAL", "soon"],
      ["CQRS_RELAY_POLL_INTERVAL", "0 seconds"],
      ["CQRS_RELAY_LANES", "0"],
      ["CQRS_RELAY_RETENTION", "-1 day"],
      ["CQRS_RELAY_MAX_DEATHS", "none"],
      ["CQRS_RELAY_MAX_LONE_FAILURES", "0"],
      ["CQRS_EMITTER_CONCURRENCY", "0"],
      ["CQRS_EMITTER_MAX_DEPTH", "-3"]
    ] as const
  ) {
    it.effect(`${key}=${JSON.stringify(value)} is an error that names the key`, () =>
      Effect.gen(function*() {
        const exit = yield* withConfig({ [key]: value })(
          Effect.exit(Effect.scoped(Layer.build(Bootstrap.layerConfig())))
        )
        const error = Exit.isFailure(exit) ? Option.getOrThrow(Cause.failureOption(exit.cause)) : undefined
        assert.isTrue(ConfigError.isConfigError(error))
        assert.include(String(error), key)
      }))
  }
})
