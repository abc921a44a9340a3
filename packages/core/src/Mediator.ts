/**
 * The mediator: a request goes to its handler.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import type { Handler } from "./Handler.ts"
import { HandlerError } from "./HandlerError.ts"
import type { Entry } from "./internal/handler.ts"
import type { Definition } from "./internal/request.ts"
import { isTraced, spanned } from "./internal/tracing.ts"
import type * as Request from "./Request.ts"

/**
 * Sends a request to its handler and answers with what the handler answers.
 *
 * It fails with the request's declared failure and those of its middleware, and it requires the request's handler: a
 * program without the handler's layer does not compile, and the compiler's message names the request. Domain events
 * that the handler emitted are dispatched before `send` returns (see `EventEmitter`).
 *
 * Where a tracer listens, the call is a span `Mediator.send JoinMeeting`; where none does it costs nothing.
 *
 * @example
 * ```ts
 * import { Handler, Mediator, Query } from "@effect-cqrs/core"
 * import { Effect, Schema } from "effect"
 *
 * class Double extends Query.make<Double>()("Double", {
 *   payload: { value: Schema.Number },
 *   success: Schema.Number
 * }) {}
 *
 * const DoubleHandler = Handler.layer(Double, (query) => Effect.succeed(query.value * 2))
 *
 * const program = Mediator.send(new Double({ value: 21 }))
 *
 * console.log(Effect.runSync(Effect.provide(program, DoubleHandler))) // 42
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const send = <R extends Request.Any>(
  request: R
): Effect.Effect<Request.Success<R>, Request.Failure<R>, R extends Request.Any ? Handler<R> : never> =>
  Effect.withFiberRuntime((fiber) => {
    const definition = unsafeCoerce<unknown, Definition>(request.constructor)
    const entry: Entry | undefined = fiber.currentContext.unsafeMap.get(definition.handlerKey)
    if (entry === undefined) return missing(definition)
    if (entry.request !== definition && !(request instanceof entry.request)) return taken(definition)
    const run = entry.run(request, fiber)
    return isTraced(fiber) ?
      spanned(run, `Mediator.send ${definition.id}`, {
        attributes: { "cqrs.request": definition.id, "cqrs.kind": definition.kind }
      }) :
      run
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const missing = (definition: Definition) =>
  Effect.die(
    new HandlerError({
      reason: "Missing",
      message:
        `There is no handler for ${definition.id}: provide the layer that Handler.layer(${definition._tag}, …) makes`
    })
  )

const taken = (definition: Definition) =>
  Effect.die(
    new HandlerError({
      reason: "NameTaken",
      message: `Two requests are named ${definition.id} and the handler that is provided is the other one's. Define ` +
        "one of them in a RequestGroup.namespace"
    })
  )
