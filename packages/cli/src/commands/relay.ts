/** `effect-cqrs relay`: a relay in a process of its own. */
import * as Bootstrap from "@effect-cqrs/core/Bootstrap"
import { BucketOwner } from "@effect-cqrs/core/BucketOwner"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Relay from "@effect-cqrs/core/Relay"
import * as SqlBucketOwner from "@effect-cqrs/sql/SqlBucketOwner"
import * as SqlOutboxStorage from "@effect-cqrs/sql/SqlOutboxStorage"
import * as SqlStorage from "@effect-cqrs/sql/SqlStorage"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Brokers from "../internal/brokers.ts"
import * as Database from "../internal/database.ts"
import { CliError, untilInterrupted } from "../internal/exitCode.ts"
import * as Settings from "../internal/settings.ts"

const drain = Options.boolean("drain").pipe(
  Options.withDescription("Deliver what can be delivered now, and end")
)

/** Says what the relay holds whenever that changes. */
const layerTold = Layer.effect(
  BucketOwner,
  Effect.map(Effect.zip(BucketOwner, OutboxStorage), ([owner, { buckets }]) =>
    BucketOwner.of({
      ...owner,
      join: Effect.tap(owner.join, ({ changes, holding }) =>
        Effect.forkScoped(Effect.forever(Effect.gen(function*() {
          const version = yield* changes.version
          const { buckets: own, token } = yield* holding
          yield* Effect.logInfo(`Relay ${token} owns ${own.length} of ${buckets} buckets`)
          yield* changes.waitPast(version)
        }))))
    }))
)

export const relay = Command.make(
  "relay",
  { database: Settings.database.database, prefix: Settings.database.prefix, broker: Settings.broker, drain },
  (options) =>
    Effect.gen(function*() {
      const address = yield* Brokers.required(options.broker)
      const { relay } = yield* Bootstrap.config
      const { prefix } = options
      const { buckets, lease } = yield* SqlStorage.config
      const storage = layerTold.pipe(
        Layer.provideMerge(SqlBucketOwner.layer({ prefix, lease })),
        Layer.provideMerge(SqlOutboxStorage.layer({ prefix, buckets })),
        Layer.provide(Database.client(options))
      )
      const ground = Layer.merge(storage, Brokers.layer(address))
      if (options.drain) {
        const { delivered, dead, retriable } = yield* Effect.scoped(
          Effect.flatMap(Relay.make(relay), ({ drain }) => drain)
        ).pipe(Effect.provide(ground))
        yield* Effect.logInfo(`Delivered ${delivered}, dead letters ${dead}`)
        if (retriable === 0) return
        return yield* new CliError({ ending: "Found", message: "Some events could not be delivered for now" })
      }
      yield* Effect.scoped(Effect.zipRight(
        Layer.build(Layer.provide(Relay.layer(relay), ground)),
        Effect.zipRight(
          Effect.logInfo(`The relay runs, to ${address.shown}. SIGTERM or Ctrl-C ends it in good order`),
          Effect.onInterrupt(
            untilInterrupted,
            () => Effect.logInfo("The relay ends, when what is in flight is settled")
          )
        )
      ))
    })
).pipe(
  Command.withDescription(Settings.help(
    "Runs a relay from configuration alone. It reads CQRS_RELAY_BATCH_SIZE and the other CQRS_RELAY_ keys, CQRS_LEASE, and " +
      "CQRS_KAFKA_ or CQRS_AMQP_ keys for what the URL does not say.",
    "relay --database postgres://app@localhost:5432/app --broker kafka://localhost:9092",
    "relay --drain"
  ))
)
