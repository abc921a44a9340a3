/**
 * All that a database offers to a program: transactions, outbox and inbox over one `SqlClient`.
 *
 * @since 0.1.0
 */
import type { InboxStorage } from "@effect-cqrs/core/Inbox"
import type { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import type { Options as TableOptions } from "./internal/tables.ts"
import * as Migrations from "./Migrations.ts"
import * as SqlInboxStorage from "./SqlInboxStorage.ts"
import * as SqlOutboxStorage from "./SqlOutboxStorage.ts"
import * as SqlTransactor from "./SqlTransactor.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends TableOptions {
  /** Whether to apply missing migrations first. Default `false`: the layer then fails if a table is missing or older. */
  readonly migrate?: boolean | undefined
}

/**
 * Transactor, outbox and inbox, for `Bootstrap.layer({ storage })`.
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
): Layer.Layer<Transactor | OutboxStorage | InboxStorage, StorageError, SqlClient> => {
  const storage = Layer.mergeAll(SqlTransactor.layer, SqlInboxStorage.layer(options)).pipe(
    Layer.provideMerge(SqlOutboxStorage.layer(options))
  )
  return options?.migrate === true
    ? Layer.provide(storage, Layer.effectDiscard(Migrations.run(options)))
    : storage
}
