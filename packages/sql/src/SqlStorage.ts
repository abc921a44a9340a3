/**
 * All that a database offers to a program: transactions, outbox and inbox over one `SqlClient`.
 *
 * @since 0.1.0
 */
import type { BucketOwner } from "@effect-cqrs/core/BucketOwner"
import type { InboxStorage } from "@effect-cqrs/core/Inbox"
import type { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import type { Options as TableOptions } from "./internal/tables.ts"
import * as Migrations from "./Migrations.ts"
import * as SqlBucketOwner from "./SqlBucketOwner.ts"
import * as SqlInboxStorage from "./SqlInboxStorage.ts"
import * as SqlOutboxStorage from "./SqlOutboxStorage.ts"
import * as SqlTransactor from "./SqlTransactor.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends TableOptions, SqlBucketOwner.Options, SqlInboxStorage.Options {
  /** Whether to apply missing migrations first. Default `false`: the layer then fails if a table is missing or older. */
  readonly migrate?: boolean | undefined
}

/**
 * Transactor, outbox, inbox, and leases by which relays share the outbox, for `Bootstrap.layer({ storage })`.
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
): Layer.Layer<Transactor | OutboxStorage | InboxStorage | BucketOwner, StorageError, SqlClient> => {
  const storage = Layer.mergeAll(
    // one value, which a program with two databases would otherwise build once, for the first of them
    Layer.fresh(SqlTransactor.layer),
    SqlInboxStorage.layer(options),
    SqlBucketOwner.layer(options)
  ).pipe(
    Layer.provideMerge(SqlOutboxStorage.layer(options))
  )
  return options?.migrate === true
    ? Layer.provide(storage, Layer.effectDiscard(Migrations.run(options)))
    : storage
}
