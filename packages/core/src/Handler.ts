/**
 * Handlers of requests, as layers: one request, one handler, known to the compiler.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import { implement } from "./internal/handler.ts"
import type * as Request from "./Request.ts"
import type { Transaction } from "./Transaction.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/core/Handler"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The requirement that `Mediator.send` leaves behind, and that {@link layer} fulfils: the handler of one request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler<in out Request> {
  readonly [TypeId]: Types.Invariant<Request>
}

/**
 * Why a handler does not fit its request. Each reason is a type that no handler has and reads as a sentence, which is
 * the last line of the compiler's message.
 *
 * @since 0.1.0
 * @category models
 */
export type Problem<Req extends Request.Any, E, R> =
  | ([Exclude<E, Request.Failure<Req>>] extends [never] ? never
    : `The handler of ${Request.Id<Req>} may fail with ${NameOfError<
      Exclude<E, Request.Failure<Req>>
    >}, which ${Request.Id<Req>} does not declare`)
  | (Transaction extends R
    ? Request.Kind<Req> extends "query"
      ? `The handler of the query ${Request.Id<Req>} asks for Transaction: a query does not write`
    : Transaction extends Request.Provides<Req> ? never
    : `The handler of ${Request.Id<Req>} asks for Transaction: wrap it in Transaction.run, or give ${Request.Id<
      Req
    >} the Transactional middleware`
    : never)
  | (Scope.Scope extends R ? `The handler of ${Request.Id<Req>} asks for Scope: close it inside, with Effect.scoped`
    : never)

/**
 * Leaves a handler that fits as it is, and replaces the type of one that does not by the reason.
 *
 * @since 0.1.0
 * @category models
 */
export type Check<Req extends Request.Any, E, R> = [Problem<Req, E, R>] extends [never] ? unknown : Problem<Req, E, R>

// The function type stands inline, twice: behind an alias or an interface TypeScript loses the contextual type inside
// Effect.gen, and `command` silently becomes `any`.

/**
 * The layer of one request's handler, given as a function or as an Effect that makes the function.
 *
 * - What the function or the Effect asks for becomes the layer's requirement, and never that of whoever sends the
 *   request. Services a request's middleware provides are taken off; the middleware itself is required.
 * - At run time a handler sees what its middleware provides first, then what its layer was built with, then what its
 *   caller has: the caller's database never replaces the handler's own. Scope, an open transaction and the parent span
 *   are the caller's.
 * - It may fail only with the request's declared failure and with the failures of the request's middleware.
 * - The parameter needs no type, except where TypeScript finds none: in `Meetings.pipe(Effect.map(…))` and
 *   `pipe(Meetings, Effect.map(…))`, in `Effect.gen(…).pipe(…)`, and in `Effect.zipRight` and `Effect.andThen`. An arrow is
 *   refused there, but the parameter of an `Effect.fn` or `Effect.fnUntraced` **is silently `any`**: write its type, or use
 *   `Effect.gen` or `Effect.map(Meetings, …)` without a pipe. `RequestGroup` and `Subscribers` refuse an `any`.
 *
 * Two layers that implement one request, or two requests of one id, fail when the layers are built, with a sentence
 * that names them. The same layer used in several places is built once.
 *
 * @example
 * ```ts
 * import { Command, Handler, Mediator } from "@effect-cqrs/core"
 * import { Console, Effect, Schema } from "effect"
 *
 * class Greet extends Command.make<Greet>()("Greet", { payload: { name: Schema.String } }) {}
 *
 * const GreetHandler = Handler.layer(Greet, (command) => Console.log(`Hello, ${command.name}`))
 *
 * Effect.runSync(Mediator.send(new Greet({ name: "Ada" })).pipe(Effect.provide(GreetHandler)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: <Req extends Request.Any, E = never, RH = never, EX = never, RX = never>(
  request: Request.ClassOf<Req>,
  build:
    & (
      | ((request: Req) => Effect.Effect<Request.Success<Req>, E | Request.Failure<Req>, RH>)
      | Effect.Effect<
        (request: Req) => Effect.Effect<Request.Success<Req>, E | Request.Failure<Req>, RH>,
        EX,
        RX
      >
    )
    & Check<Req, E, RH>
) => Layer.Layer<
  Handler<Req>,
  EX,
  Exclude<RX, Scope.Scope> | Exclude<RH, Request.Provides<Req>> | Request.Middlewares<Req>
> = (request, build) => unsafeCoerce(implement([unsafeCoerce(request)], build, (handler) => [unsafeCoerce(handler)]))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type NameOfError<E> = 0 extends 1 & E ? "anything"
  : E extends { readonly _tag: infer Tag extends string } ? Tag
  : E extends string ? E
  : "an untagged error"
