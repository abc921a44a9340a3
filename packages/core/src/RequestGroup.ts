/**
 * Requests that belong together: implemented at once, or living under one name.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { identity, unsafeCoerce } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Handler from "./Handler.ts"
import { type HandlerFunction, implement } from "./internal/handler.ts"
import { makeRequest } from "./internal/request.ts"
import type * as Middleware from "./Middleware.ts"
import type * as Request from "./Request.ts"

/**
 * Several requests that one layer implements.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestGroup<in out Reqs extends Request.Any> {
  readonly requests: ReadonlyArray<Request.AnyClass>

  /**
   * The layer of all handlers of the group: an object with one handler per tag, or an Effect that makes it. A missing
   * handler, an extra one, and one that does not fit its request do not compile.
   */
  layer<
    H extends
      & { readonly [R in Reqs as R["_tag"]]: (request: R) => Effect.Effect<Request.Success<R>, any, any> }
      & Misfits<Reqs, H>,
    EX = never,
    RX = never
  >(
    build: H | Effect.Effect<H, EX, RX>
  ): Layer.Layer<Handlers<Reqs>, EX, Exclude<RX, Scope.Scope> | Services<Reqs, H> | Request.Middlewares<Reqs>>

  /** Types the parameters of handlers that are written away from {@link layer}. */
  of<
    H extends
      & { readonly [R in Reqs as R["_tag"]]: (request: R) => Effect.Effect<Request.Success<R>, any, any> }
      & Misfits<Reqs, H>
  >(handlers: H): H
}

/**
 * A name that is part of the id of each request declared through it, with middleware that wraps each of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Namespace<Name extends string, M extends ReadonlyArray<Middleware.Any>> {
  readonly name: Name
  /** As `Command.make`, inside this namespace. */
  readonly Command: Request.Make<"command", `${Name}.Command`, `${Name}/`, M>
  /** As `Query.make`, inside this namespace. */
  readonly Query: Request.Make<"query", `${Name}.Query`, `${Name}/`, M>
  /** A namespace inside this one; this one's middleware stays outermost. */
  namespace<const N extends string, const M2 extends ReadonlyArray<Middleware.Any> = []>(
    name: N,
    options?: { readonly middleware?: M2 | undefined } | undefined
  ): Namespace<`${Name}/${N}`, [...M, ...M2]>
}

/**
 * The handlers of several requests.
 *
 * @since 0.1.0
 * @category models
 */
export type Handlers<Reqs extends Request.Any> = Reqs extends Request.Any ? Handler.Handler<Reqs> : never

/**
 * Leaves a list of request classes as it is, unless a tag stands in it twice.
 *
 * @since 0.1.0
 * @category models
 */
export type Distinct<C extends ReadonlyArray<Request.AnyClass>> = {
  [I in keyof C]: C[I] extends Request.AnyClass ? [IndexByTag<C>[C[I]["_tag"] & keyof IndexByTag<C>]] extends [I] ? C[I]
    : `The tag ${C[I]["_tag"]} stands in this group twice`
    : never
}

/**
 * The keys of `H` that do not fit the requests, each with the reason.
 *
 * It stands in the bound of `H` itself, with its keys remapped through a template literal, because there it takes no
 * part in contextual typing; beside `H` in a parameter it would fix `H` too early.
 *
 * @since 0.1.0
 * @category models
 */
export type Misfits<Reqs extends Request.Any, H> = {
  readonly [K in keyof H as `${BadKey<Reqs, H, K>}`]: ProblemAt<Reqs, H[K], K>
}

/**
 * Puts requests together. Requests of one tag but different namespaces go into different groups.
 *
 * @example
 * ```ts
 * import { Command, Query, RequestGroup } from "@effect-cqrs/core"
 * import { Effect, Schema } from "effect"
 *
 * class Rename extends Command.make<Rename>()("Rename", { payload: { name: Schema.String } }) {}
 * class Read extends Query.make<Read>()("Read", { success: Schema.String }) {}
 *
 * export const Handlers = RequestGroup.make(Rename, Read).layer(Effect.sync(() => {
 *   let name = "unnamed"
 *   return {
 *     Rename: (command) => Effect.sync(() => { name = command.name }),
 *     Read: () => Effect.sync(() => name)
 *   }
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const C extends ReadonlyArray<Request.AnyClass>>(
  ...requests: C & Distinct<C>
): RequestGroup<InstanceType<C[number]>> =>
  unsafeCoerce({
    requests,
    layer: (build: unknown) =>
      implement(unsafeCoerce(requests), build, (handlers) => {
        const byTag = handlers as Record<string, HandlerFunction>
        return requests.map((request) => byTag[request._tag]!)
      }),
    of: identity
  })

/**
 * Opens a namespace: requests of equal tag in two namespaces are two requests.
 *
 * @example
 * ```ts
 * import { RequestGroup } from "@effect-cqrs/core"
 * import { Schema } from "effect"
 *
 * const Billing = RequestGroup.namespace("Billing")
 *
 * class Close extends Billing.Command<Close>()("Close", { payload: { invoice: Schema.String } }) {}
 *
 * console.log(Close.id) // Billing/Close
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const namespace = <const N extends string, const M extends ReadonlyArray<Middleware.Any> = []>(
  name: N,
  options?: { readonly middleware?: M | undefined } | undefined
): Namespace<N, M> => {
  const middleware: ReadonlyArray<Middleware.Any> = options?.middleware ?? []
  return unsafeCoerce({
    name,
    Command: makeRequest("command", `${name}/`, middleware),
    Query: makeRequest("query", `${name}/`, middleware),
    namespace: (inner: string, innerOptions?: { readonly middleware?: ReadonlyArray<Middleware.Any> }) =>
      namespace(`${name}/${inner}`, { middleware: [...middleware, ...(innerOptions?.middleware ?? [])] })
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type IndexByTag<C extends ReadonlyArray<Request.AnyClass>> = {
  [I in Extract<keyof C, `${number}`> as C[I] extends Request.AnyClass ? C[I]["_tag"] : never]: I
}

type OfTag<Reqs extends Request.Any, Tag> = Reqs extends { readonly _tag: Tag } ? Reqs : never

type ProblemAt<Reqs extends Request.Any, H, K> = [OfTag<Reqs, K>] extends [never]
  ? `There is no request ${K & string} in this group`
  : IsAny<Parameter<H>> extends true ? `The parameter of the handler of ${K & string} is any: write its type`
  : H extends (...args: any) => Effect.Effect<any, infer E, infer R> ? Handler.Problem<OfTag<Reqs, K>, E, R>
  : never

/** TypeScript carries no types into a pipe: there the parameter of a generator is silently `any`. */
type Parameter<H> = H extends (parameter: infer P, ...rest: any) => any ? P : never

type IsAny<T> = 0 extends 1 & T ? true : false

type BadKey<Reqs extends Request.Any, H, K extends keyof H> = [ProblemAt<Reqs, H[K], K>] extends [never] ? never
  : K & string

type Services<Reqs extends Request.Any, H> = {
  [K in keyof H]: H[K] extends (...args: any) => Effect.Effect<any, any, infer R>
    ? Exclude<R, Request.Provides<OfTag<Reqs, K>>>
    : never
}[keyof H]
