/**
 * The tables of outbox, inbox and idempotency keys, as migrations in a table of their own.
 *
 * @since 0.1.0
 */
export * as Migrations from "./Migrations.ts"

/**
 * LISTEN and NOTIFY on PostgreSQL: a commit in one process wakes the relays of the others.
 *
 * @since 0.1.0
 */
export * as PgNotifications from "./PgNotifications.ts"

/**
 * Buckets shared among relays through leases in the database.
 *
 * @since 0.1.0
 */
export * as SqlBucketOwner from "./SqlBucketOwner.ts"

/**
 * Idempotency keys in a table beside the application's own.
 *
 * @since 0.1.0
 */
export * as SqlIdempotencyStorage from "./SqlIdempotencyStorage.ts"

/**
 * The inbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
export * as SqlInboxStorage from "./SqlInboxStorage.ts"

/**
 * The outbox in a table beside the application's own.
 *
 * @since 0.1.0
 */
export * as SqlOutboxStorage from "./SqlOutboxStorage.ts"

/**
 * All that a database offers to a program: transactions, outbox, inbox and idempotency keys over one `SqlClient`.
 *
 * @since 0.1.0
 */
export * as SqlStorage from "./SqlStorage.ts"

/**
 * `Transaction.run` over a SQL database: statements of the effect and events of the outbox in one transaction.
 *
 * @since 0.1.0
 */
export * as SqlTransactor from "./SqlTransactor.ts"

/**
 * What is in the database, for those who look after it.
 *
 * @since 0.1.0
 */
export * as Tables from "./Tables.ts"
