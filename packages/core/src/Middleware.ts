/**
 * Wrappers round handlers of requests and events, which may provide services and add declared failures.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { globalLayer, globalTag } from "./internal/globalMiddleware.ts"
import { giving, ownServices } from "./internal/services.ts"
import type { Transaction } from "./Transaction.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/core/Middleware"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * What a middleware can be put round: the handler of a command, of a query, or of an event.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "command" | "query" | "event"

/**
 * The call that a middleware sees.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly kind: Kind
  /** The request's id (`Billing/Close`) or the event's name. */
  readonly name: string
  /** Which of an event's handlers runs; for a request, the same as `name`. */
  readonly handler: string
  /** The request or event itself. Its fields may be secret: do not log it unasked. */
  readonly value: object
}

/**
 * What a middleware does. It is polymorphic in the result of what it wraps, so that it can neither swallow nor invent
 * one: it runs `next` (once, several times, or not at all when it fails) and answers what `next` answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wrap<in Provides, in out Failure, out R = never> {
  <A, E>(next: Effect.Effect<A, E, Provides>, call: Call): Effect.Effect<A, E | Failure, R>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly [TypeId]: Context.Tag<any, any> | undefined
  readonly name: string
  readonly provides: ReadonlyArray<Context.Tag<any, any>>
  readonly failure: Schema.Schema.All
  readonly kinds: ReadonlyArray<Kind>
}

/**
 * A middleware that is a service: its layer says what it does (see {@link layer}).
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<
  Self,
  Name extends string,
  Provides extends Context.Tag<any, any>,
  F extends Schema.Schema.All,
  Kinds extends Kind
> extends Context.Tag<Self, Wrap<Context.Tag.Identifier<Provides>, Schema.Schema.Type<F>>> {
  new(_: never): Context.TagClassShape<Name, Wrap<Context.Tag.Identifier<Provides>, Schema.Schema.Type<F>>>
  readonly [TypeId]: Context.Tag<Self, any>
  readonly name: Name
  readonly provides: ReadonlyArray<Provides>
  readonly failure: F
  readonly kinds: ReadonlyArray<Kinds>
}

/**
 * A middleware that is a value and needs no layer (see {@link inline}).
 *
 * @since 0.1.0
 * @category models
 */
export interface Inline<Name extends string, F extends Schema.Schema.All, Kinds extends Kind> {
  readonly [TypeId]: undefined
  readonly name: Name
  readonly provides: readonly []
  readonly failure: F
  readonly kinds: ReadonlyArray<Kinds>
  readonly wrap: Wrap<never, Schema.Schema.Type<F>>
}

/**
 * The services that a list of middleware provides to what it wraps.
 *
 * @since 0.1.0
 * @category models
 */
export type Provides<M extends ReadonlyArray<Any>> = M[number] extends infer X
  ? X extends { readonly provides: ReadonlyArray<infer T> } ? T extends Context.Tag<infer I, any> ? I : never : never
  : never

/**
 * What a list of middleware may add to the failures of what it wraps.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<M extends ReadonlyArray<Any>> = Schema.Schema.Type<M[number]["failure"]>

/**
 * The middleware of a list whose layers are needed.
 *
 * @since 0.1.0
 * @category models
 */
export type Identifier<M extends ReadonlyArray<Any>> = M[number] extends infer X
  ? X extends Context.Tag<infer I, any> ? I : never
  : never

/**
 * The reason, in words, why a middleware of the list cannot wrap this request or event; `never` if each of them can.
 *
 * @since 0.1.0
 * @category models
 */
export type Misplaced<K extends Kind, Name extends string, M extends ReadonlyArray<Any>> = M[number] extends infer X
  ? X extends {
    readonly [TypeId]: infer Tag
    readonly name: infer N extends string
    readonly kinds: ReadonlyArray<infer Kinds extends Kind>
  }
    ? Context.Tag<any, any> | undefined extends Tag
      ? `A middleware of the ${K} ${Name} has lost its type: list each one as it was defined`
    : K extends Kinds ? never
    : `The middleware ${N} cannot wrap the ${K} ${Name}: it is for a ${Kinds}`
  : never
  : never

/**
 * Defines a middleware as a service.
 *
 * - `provides`: the tag, or tags, of services that the handlers it wraps may use.
 * - `failure`: how it may fail. The failure becomes part of what `Mediator.send` may fail with, and of the request's
 *   own failure schema; the handler may fail with it, too.
 * - `kinds`: what it can be put round; all kinds, unless said otherwise.
 *
 * The name is for messages: two definitions of one name are two middlewares, and each needs its own layer.
 *
 * **Order.** Global middleware runs outermost, in the order it was given; then that of the request's namespaces, from
 * the root inwards; then that of the request itself, in the order of its list; then the handler.
 *
 * @example
 * ```ts
 * import { Middleware } from "@effect-cqrs/core"
 * import { Context, Effect, Schema } from "effect"
 *
 * class CurrentUser extends Context.Tag("CurrentUser")<CurrentUser, { readonly id: string }>() {}
 * class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}
 *
 * class Auth extends Middleware.make<Auth>()("Auth", { provides: CurrentUser, failure: Unauthorized }) {}
 *
 * export const AuthLayer = Middleware.layer(Auth, (next) => Effect.provideService(next, CurrentUser, { id: "ada" }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Self = never>() =>
<
  const Name extends string,
  Provides extends Context.Tag<any, any> = never,
  F extends Schema.Schema.All = typeof Schema.Never,
  const Kinds extends Kind = Kind
>(
  name: Name,
  options?: {
    readonly provides?: Provides | ReadonlyArray<Provides> | undefined
    readonly failure?: F | undefined
    readonly kinds?: ReadonlyArray<Kinds> | undefined
  } | undefined
): [Self] extends [never] ? MissingSelf : TagClass<Self, Name, Provides, F, Kinds> => {
  const tag = Context.Tag(`@effect-cqrs/core/Middleware/${name}#${++definitions}`)<any, any>()
  const provides = options?.provides
  const statics = {
    [TypeId]: tag,
    provides: provides === undefined ? [] : Array.isArray(provides) ? provides : [provides],
    failure: options?.failure ?? Schema.Never,
    kinds: options?.kinds ?? allKinds
  }
  return unsafeCoerce(Object.defineProperty(Object.assign(tag, statics), "name", { value: name }))
}

/**
 * Defines a middleware as a value that is its own implementation: nothing to provide, no layer to write.
 *
 * @since 0.1.0
 * @category constructors
 */
export const inline = <
  const Name extends string,
  F extends Schema.Schema.All = typeof Schema.Never,
  const Kinds extends Kind = Kind
>(options: {
  readonly name: Name
  readonly failure?: F | undefined
  readonly kinds?: ReadonlyArray<Kinds> | undefined
  readonly wrap: Wrap<never, Schema.Schema.Type<F>>
}): Inline<Name, F, Kinds> => ({
  [TypeId]: undefined,
  name: options.name,
  provides: [],
  failure: options.failure ?? unsafeCoerce(Schema.Never),
  kinds: options.kinds ?? unsafeCoerce(allKinds),
  wrap: options.wrap
})

/**
 * Says what a middleware does. Services that its `Wrap` needs are captured when the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <
  Self,
  Name extends string,
  P extends Context.Tag<any, any>,
  F extends Schema.Schema.All,
  K extends Kind,
  RH = never,
  EX = never,
  RX = never
>(
  tag: TagClass<Self, Name, P, F, K>,
  build:
    & (
      | Wrap<Context.Tag.Identifier<P>, Schema.Schema.Type<F>, RH>
      | Effect.Effect<Wrap<Context.Tag.Identifier<P>, Schema.Schema.Type<F>, RH>, EX, RX>
    )
    & ([Problem<Name, Context.Tag.Identifier<P>, RH>] extends [never] ? unknown
      : Problem<Name, Context.Tag.Identifier<P>, RH>)
): Layer.Layer<Self, EX, RH | Exclude<RX, Scope.Scope>> =>
  unsafeCoerce(Layer.scoped(
    tag,
    Effect.gen(function*() {
      const context = yield* Effect.context<any>()
      const wrap = (Effect.isEffect(build) ? yield* (build as Effect.Effect<any>) : build) as Wrap<any, any, any>
      const give = giving(ownServices(context))
      return ((next, call) => give(wrap(next, call))) as Wrap<any, any>
    })
  ))

/**
 * Puts middleware round every request and every event handler of the program, outermost, in the given order. Handlers
 * take it from the layers they were built with, or else from their caller. Several such layers in one program add up.
 *
 * Global middleware can observe, measure and repeat; it adds no failures and provides no services, because no request
 * would show them. For those, name the middleware on a request, or on a `RequestGroup.namespace`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerGlobal = <const M extends ReadonlyArray<Any>>(
  ...middleware: M & { readonly [I in keyof M]: M[I] extends Any ? M[I] & GlobalCheck<M[I]> : never }
): Layer.Layer<never, never, Identifier<M>> =>
  unsafeCoerce(
    Layer.scopedDiscard(Effect.gen(function*() {
      const registry = yield* globalTag
      const context = yield* Effect.context<any>()
      const wraps = middleware.map((m) => wrapOf(m as Any, context))
      registry.wraps = [...registry.wraps, ...wraps]
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          registry.wraps = registry.wraps.filter((wrap) => !wraps.includes(wrap))
        })
      )
    })).pipe(Layer.provideMerge(globalLayer))
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type MissingSelf = `Missing \`Self\` generic - use \`class Self extends Middleware.make<Self>()("Name", { ... }) {}\``

type NameOfError<E> = E extends { readonly _tag: infer Tag extends string } ? Tag : "an untagged error"

type Problem<Name extends string, Provides, R> =
  | ([Extract<Provides, R>] extends [never] ? never
    : `The middleware ${Name} does not provide what it promises to its handlers`)
  | (Transaction extends Exclude<R, Provides>
    ? `The middleware ${Name} asks for Transaction: wrap it in Transaction.run`
    : never)
  | (Scope.Scope extends R ? `The middleware ${Name} asks for Scope: close it inside, with Effect.scoped` : never)

type GlobalCheck<M extends Any> = [Schema.Schema.Type<M["failure"]>] extends [never] ?
  [Provides<[M]>] extends [never] ? [Kind] extends [M["kinds"][number]] ? unknown
    : `The middleware ${M["name"]} is for a ${M["kinds"][number]}: global middleware wraps every request and event`
  : `The middleware ${M["name"]} provides a service: name it on a request or a namespace, where handlers can see it`
  : `The middleware ${M["name"]} may fail with ${NameOfError<
    Schema.Schema.Type<M["failure"]>
  >}: global middleware adds no failures. Name it on a request or a namespace`

let definitions = 0

const allKinds: ReadonlyArray<Kind> = ["command", "query", "event"]

/** @internal */
export const wrapOf = (middleware: Any, context: Context.Context<any>): Wrap<any, any> => {
  const tag = middleware[TypeId]
  return tag === undefined
    ? unsafeCoerce((middleware as unknown as Inline<string, any, Kind>).wrap)
    : Context.unsafeGet(context, tag)
}
