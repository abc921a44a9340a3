/**
 * What a client is told of failures that are not its business: RFC 9457 problem details, with nothing of their causes.
 *
 * @since 0.1.0
 */
import { IdempotencyError } from "@effect-cqrs/core/Idempotency"
import { StorageError } from "@effect-cqrs/core/OutboxStorage"
import { TransactionError } from "@effect-cqrs/core/Transaction"
import { Transactor } from "@effect-cqrs/core/Transactor"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const fields = <Status extends number>(status: Status) => ({
  title: Schema.String,
  status: Schema.Literal(status),
  detail: Schema.String,
  /** Seconds; as the header `Retry-After` too. */
  retryAfter: Schema.optional(Schema.Number)
})

// the names of the classes are those of OpenAPI's components, which have no slashes
const annotations = (status: number) => ({
  [HttpApiSchema.AnnotationStatus]: status,
  [HttpApiSchema.AnnotationEncoding]: { kind: "Json", contentType: "application/problem+json" }
})

/**
 * The idempotency key cannot be used: it is too long, or has a character that the database lacks.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeyUnusable extends Schema.TaggedError<KeyUnusable>("Problem.KeyUnusable")(
  "KeyUnusable",
  fields(400),
  annotations(400)
) {}

/**
 * The command with this idempotency key is still being handled.
 *
 * @since 0.1.0
 * @category errors
 */
export class InProgress extends Schema.TaggedError<InProgress>("Problem.InProgress")(
  "InProgress",
  fields(409),
  annotations(409)
) {}

/**
 * The idempotency key belongs to another command, or to one with other fields.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeyReused
  extends Schema.TaggedError<KeyReused>("Problem.KeyReused")("KeyReused", fields(422), annotations(422))
{}

/**
 * Something is wrong with the program, and its log says what.
 *
 * @since 0.1.0
 * @category errors
 */
export class Internal
  extends Schema.TaggedError<Internal>("Problem.Internal")("Internal", fields(500), annotations(500))
{}

/**
 * The database cannot be reached, or has made the command a victim of others: sent again it may succeed.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unavailable extends Schema.TaggedError<Unavailable>("Problem.Unavailable")(
  "Unavailable",
  fields(503),
  annotations(503)
) {}

/**
 * All of them, for `HttpApiEndpoint.addError`, or for a group or a whole API: each has its own status.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Problem = Schema.Union(KeyUnusable, InProgress, KeyReused, Internal, Unavailable)

/**
 * @since 0.1.0
 * @category models
 */
export type Problem = typeof Problem.Type

/**
 * Answers a problem in place of a `TransactionError`, an `IdempotencyError` and a defect; declared failures stay as they
 * are. What it was is logged, and no part of the answer.
 *
 * - A database that cannot be reached, a lost deadlock, a failed serialization: {@link Unavailable}, 503, with
 *   `Retry-After`. So is a commit of which nobody knows the outcome, and the text says so.
 * - Idempotency keys: 400, 409 with `Retry-After`, 422.
 * - Anything else: {@link Internal}, 500.
 *
 * @since 0.1.0
 * @category combinators
 */
export const answer = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, TransactionError | IdempotencyError> | Problem, R> =>
  Effect.catchAllCause(effect, (cause) =>
    Effect.flatMap(Effect.serviceOption(Transactor), (transactor): Effect.Effect<
      never,
      Exclude<E, TransactionError | IdempotencyError> | Problem
    > => {
      if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const failure = Cause.failureOption(cause)
      if (
        Option.isSome(failure) && !(failure.value instanceof TransactionError) &&
        !(failure.value instanceof IdempotencyError)
      ) {
        return Effect.failCause(cause as Cause.Cause<Exclude<E, TransactionError | IdempotencyError>>)
      }
      const isConflict = Option.match(transactor, {
        onNone: () => false,
        onSome: (transactor) => transactor.isConflict(Cause.squash(cause))
      })
      const problem = problemOf(Option.getOrUndefined(failure), isConflict)
      return Effect.zipRight(
        Effect.zipRight(
          log(problem, cause),
          problem.retryAfter === undefined ? Effect.void : later(problem.retryAfter)
        ),
        Effect.fail(problem)
      )
    }))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const retryAfter = 1

const unavailable = (detail: string) =>
  new Unavailable({ title: "The service is unavailable", status: 503, detail, retryAfter })

const internal = new Internal({
  title: "Something is wrong with the service",
  status: 500,
  detail: "It was not done. Sent again it may fail again"
})

const problemOf = (failure: unknown, isConflict: boolean): Problem => {
  if (failure instanceof IdempotencyError) {
    switch (failure.reason) {
      case "Mismatch":
        return new KeyReused({ title: "The idempotency key is taken", status: 422, detail: failure.message })
      case "InProgress":
        return new InProgress({ title: "It is in progress", status: 409, detail: failure.message, retryAfter })
      case "Unusable":
        return new KeyUnusable({
          title: "The idempotency key cannot be used",
          status: 400,
          detail: "It is too long, or has a character that cannot be stored: choose a shorter one of plain characters"
        })
      case "Unreadable":
        return new Internal({
          title: "The answer cannot be read",
          status: 500,
          detail: "It was done before, and its answer was stored by another version of the service"
        })
      case "Unavailable":
        return unavailable("It was not done: send it again in a while")
    }
  }
  if (failure instanceof TransactionError && failure.reason === "OutcomeUnknown") {
    return unavailable(
      "It is not known whether it was done: with an idempotency key, send it again with the same one; without, look " +
        "before you do"
    )
  }
  return isConflict || isOutage(failure) ? unavailable("It was not done: send it again in a while") : internal
}

const isOutage = (failure: unknown): boolean =>
  failure instanceof TransactionError && (
    failure.reason === "Unavailable" || failure.reason === "RolledBack" ||
    (failure.cause instanceof StorageError && failure.cause.reason === "Unavailable")
  )

const log = (problem: Problem, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  problem.status === 500
    ? Effect.logError("A request failed", cause)
    : problem.status === 503
    ? Effect.logWarning("A request could not be handled", cause)
    : Effect.logDebug("A request was refused", cause)

const later = (seconds: number) =>
  HttpApp.appendPreResponseHandler((_, response) =>
    Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(seconds)))
  )
