import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Schema from "effect/Schema"

/**
 * A transaction, or an event meant for it, did not succeed. Nothing of the transaction is stored, unless the reason
 * is `OutcomeUnknown` or `ImplicitCommit`.
 *
 * - `Unavailable`: no connection, or it could not begin.
 * - `Foreign`: a transaction that this library did not open is already open here.
 * - `Ended`: it was used after its end, by a fiber that outlived it.
 * - `EventRejected`: an event could not be encoded, or is larger than the limit. The transaction itself is intact.
 * - `OutboxFailed`: the events could not be stored with it.
 * - `Savepoint`: a savepoint could not be set, released or rolled back to, or a nested `run` failed while another fiber
 *   worked beside it: what that one did went with the savepoint.
 * - `RolledBack`: the server has rolled it back.
 * - `ImplicitCommit`: a statement committed it half-way.
 * - `CommitFailed`: COMMIT was refused.
 * - `OutcomeUnknown`: the connection was lost during COMMIT. Never retried by the library.
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionError
  extends Schema.TaggedError<TransactionError>("@effect-cqrs/core/TransactionError")("TransactionError", {
    reason: Schema.Literal(
      "Unavailable",
      "Foreign",
      "Ended",
      "EventRejected",
      "OutboxFailed",
      "Savepoint",
      "RolledBack",
      "ImplicitCommit",
      "CommitFailed",
      "OutcomeUnknown"
    ),
    message: Schema.String,
    cause: Schema.optional(Schema.Defect)
  })
{}

/** Neither what follows a commit nor what follows a rollback is known to be due. */
export const isUnknown = (cause: Cause.Cause<unknown>): boolean =>
  Chunk.some(
    Cause.failures(cause),
    (error) => error instanceof TransactionError && error.reason === "OutcomeUnknown"
  )
