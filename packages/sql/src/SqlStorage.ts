/**
 * All that a database offers to a program: transactions, outbox, inbox and idempotency keys over one `SqlClient`.
 *
 * @since 0.1.0
 */
import type { BucketOwner } from "@effect-cqrs/core/BucketOwner"
import type { IdempotencyStorage } from "@effect-cqrs/core/Idempotency"
import type { InboxStorage } from "@effect-cqrs/core/Inbox"
import type { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import { isPrefix, prefixMustBe } from "./internal/dialect.ts"
import { isBuckets, isLease, maxBuckets, type Options as TableOptions } from "./internal/tables.ts"
import * as Migrations from "./Migrations.ts"
import * as SqlBucketOwner from "./SqlBucketOwner.ts"
import * as SqlIdempotencyStorage from "./SqlIdempotencyStorage.ts"
import * as SqlInboxStorage from "./SqlInboxStorage.ts"
import * as SqlOutboxStorage from "./SqlOutboxStorage.ts"
import * as SqlTransactor from "./SqlTransactor.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options
  extends TableOptions, SqlBucketOwner.Options, SqlInboxStorage.Options, SqlIdempotencyStorage.Options
{
  /** Whether to apply missing migrations first. Default `false`: the layer then fails if a table is missing or older. */
  readonly migrate?: boolean | undefined
}

/**
 * What {@link layer} provides.
 *
 * @since 0.1.0
 * @category models
 */
export type Services = Transactor | OutboxStorage | InboxStorage | IdempotencyStorage | BucketOwner

/**
 * Transactor, outbox, inbox, idempotency keys, and leases by which relays share the outbox, for `Bootstrap.layer({ storage })`.
 *
 * The program's own statements join its transactions if they come from the client that this layer was given: provide one
 * layer value to both. A `Layer.fresh` that is provided twice makes two clients, and the statements of the second one are no
 * part of the transaction; the first such statement logs a warning.
 *
 * @example
 * ```ts
 * import { Bootstrap } from "@effect-cqrs/core"
 * import { SqlStorage } from "@effect-cqrs/sql"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { Effect, Layer } from "effect"
 *
 * const Database = SqliteClient.layer({ filename: ":memory:" })
 *
 * export const Main = Bootstrap.layer({
 *   storage: Layer.provide(SqlStorage.layer({ migrate: true }), Database)
 * })
 *
 * await Effect.runPromise(Effect.scoped(Layer.build(Main)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<Services, StorageError, SqlClient> => {
  const storage = Layer.mergeAll(
    // one value, which a program with two databases would otherwise build once, for the first of them
    Layer.fresh(SqlTransactor.layer),
    SqlInboxStorage.layer(options),
    SqlIdempotencyStorage.layer(options),
    SqlBucketOwner.layer(options)
  ).pipe(
    Layer.provideMerge(SqlOutboxStorage.layer(options))
  )
  return options?.migrate === true
    ? Layer.provide(storage, Layer.effectDiscard(Migrations.run(options)))
    : storage
}

/**
 * As {@link layer}, with options read from the program's configuration: `SqlStorage.config`, or any of one's own.
 *
 * @example
 * ```ts
 * import { Bootstrap } from "@effect-cqrs/core"
 * import { SqlStorage } from "@effect-cqrs/sql"
 * import { SqliteClient } from "@effect/sql-sqlite-node"
 * import { ConfigProvider, Effect, Layer } from "effect"
 *
 * const Main = Bootstrap.layerConfig({
 *   storage: Layer.provide(SqlStorage.layerConfig(SqlStorage.config), SqliteClient.layer({ filename: ":memory:" }))
 * })
 *
 * const environment = ConfigProvider.fromMap(new Map([["CQRS_PREFIX", "rooms_"], ["CQRS_MIGRATE", "true"]]))
 *
 * await Effect.runPromise(Effect.withConfigProvider(Effect.scoped(Layer.build(Main)), environment))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<Options>
): Layer.Layer<
  Services,
  StorageError | ConfigError.ConfigError,
  SqlClient
> => Layer.unwrapEffect(Effect.map(Config.unwrap(config), layer))

/**
 * What can be configured beside `Bootstrap.config`, each key optional: `CQRS_PREFIX` (what the names of the tables begin
 * with), `CQRS_BUCKETS` (a whole number from 1 to 4096), `CQRS_LEASE` (a duration as `10 seconds`, at least 100
 * milliseconds), `CQRS_MIGRATE` (`true` or `false`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const config: Config.Config<Options> = Config.all({
  prefix: Config.option(
    Config.validate(Config.string("CQRS_PREFIX"), { message: prefixMustBe, validation: isPrefix })
  ),
  buckets: Config.option(
    Config.validate(Config.integer("CQRS_BUCKETS"), {
      message: `must be a whole number from 1 to ${maxBuckets}`,
      validation: isBuckets
    })
  ),
  lease: Config.option(
    Config.validate(Config.duration("CQRS_LEASE"), {
      message: "must be a duration of at least 100 milliseconds, such as \"10 seconds\"",
      validation: isLease
    })
  ),
  migrate: Config.option(Config.boolean("CQRS_MIGRATE"))
}).pipe(
  Config.map((values) => Record.getSomes<string, unknown>(values) as Options)
)
