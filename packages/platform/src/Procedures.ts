/**
 * Commands and queries as remote procedures of @effect/rpc.
 *
 * @since 0.1.0
 */
import type { Handler } from "@effect-cqrs/core/Handler"
import { IdempotencyError, Idempotent } from "@effect-cqrs/core/Idempotency"
import * as Mediator from "@effect-cqrs/core/Mediator"
import type * as Request from "@effect-cqrs/core/Request"
import { TransactionError } from "@effect-cqrs/core/Transaction"
import type { Headers } from "@effect/platform/Headers"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as IdempotencyKey from "./IdempotencyKey.ts"

/**
 * The class of a command or query.
 *
 * @since 0.1.0
 * @category models
 */
export type AnyRequest = Rpc.AnyTaggedRequestSchema & Request.AnyClass

/**
 * Procedures, and what answers them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Procedures<R extends AnyRequest> {
  /** For clients, and for `RpcServer.layer`: each request by its tag, made of `Rpc.fromTaggedRequest`. */
  readonly group: RpcGroup.RpcGroup<R extends AnyRequest ? Rpc.From<R> : never>
  /**
   * Sends each request to its handler, with the key of the header `Idempotency-Key` if it is a command with the
   * middleware `Idempotent`. The key has no scope: who knows the key and the fields of another's command is given its answer. Causes of failures and defects are logged, and not sent to the client.
   */
  readonly layer: Layer.Layer<
    Rpc.ToHandler<R extends AnyRequest ? Rpc.From<R> : never>,
    never,
    R extends AnyRequest ? Handler<InstanceType<R>> : never
  >
}

/**
 * Makes procedures of requests. A request whose handler is missing is missing in what {@link Procedures} `layer` needs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const R extends ReadonlyArray<AnyRequest>>(...requests: R): Procedures<R[number]> => {
  const group = RpcGroup.make(...requests.map((request) => Rpc.fromTaggedRequest(request)))
  const handlers = Object.fromEntries(
    requests.map((request) => [
      request._tag,
      (payload: Request.Any, { headers }: { readonly headers: Headers }) =>
        discreet(keyed(request, headers, Mediator.send(payload)))
    ])
  )
  return unsafeCoerce({ group, layer: group.toLayer(unsafeCoerce<unknown, any>(handlers)) })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const keyed = <A, E, R>(request: AnyRequest, headers: Headers, sent: Effect.Effect<A, E, R>) => {
  const key = headers["idempotency-key"]
  const { middleware } = unsafeCoerce<unknown, { readonly middleware: ReadonlyArray<unknown> }>(request)
  if (key === undefined || !middleware.includes(Idempotent)) return sent
  return Effect.matchEffect(Schema.decode(IdempotencyKey.IdempotencyKey)(key), {
    onFailure: () =>
      Effect.fail(
        new IdempotencyError({
          reason: "Unusable",
          message: "The header Idempotency-Key is not a string of 1 to 255 characters of visible ASCII"
        })
      ),
    onSuccess: (key) => IdempotencyKey.provide(key)(sent)
  })
}

/** What caused it is for the log. */
const discreet = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchAllCause(effect, (cause): Effect.Effect<never, E> => {
    if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
    const failure = Cause.failureOption(cause)
    if (failure._tag === "None") {
      return Effect.zipRight(
        Effect.logError("A procedure died", cause),
        Effect.die("Something is wrong with the service")
      )
    }
    const error: unknown = failure.value
    if (error instanceof TransactionError) {
      const { message, reason } = error
      return told(cause, new TransactionError({ reason, message }))
    }
    if (error instanceof IdempotencyError) {
      const { message, reason } = error
      return told(cause, new IdempotencyError({ reason, message }))
    }
    // what died beside it is not for the client, whose other calls it would end
    return Cause.isFailType(cause) ? Effect.failCause(cause) : told(cause, error)
  })

const told = <E>(cause: Cause.Cause<E>, error: unknown): Effect.Effect<never, E> =>
  Effect.zipRight(Effect.logWarning("A procedure failed", cause), Effect.fail(error as E))
