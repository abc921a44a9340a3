/**
 * What commands and queries have in common: their types, as `Mediator.send` and handlers read them.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type * as Middleware from "./Middleware.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/core/Request"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * What the types of a request say, carried by its instances.
 *
 * @since 0.1.0
 * @category models
 */
export interface Info<
  out K extends "command" | "query",
  out Id extends string,
  out Success,
  out Failure,
  out M extends ReadonlyArray<Middleware.Any>
> {
  readonly kind: K
  readonly id: Id
  readonly success: Success
  readonly failure: Failure
  readonly middleware: M
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly _tag: string
  readonly [TypeId]: Info<any, any, any, any, any>
}

/**
 * The class of a request. Handlers take it this way, by its instances, so that TypeScript infers the instance's type.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClassOf<Req> {
  new(...args: any): Req
  readonly _tag: string
  readonly id: string
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AnyClass extends ClassOf<Any> {}

/**
 * Whether a request is a command or a query.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind<R extends Any> = R[TypeId]["kind"]

/**
 * The request's id: its tag behind the names of its namespaces, such as `Billing/Close`.
 *
 * @since 0.1.0
 * @category models
 */
export type Id<R extends Any> = R[TypeId]["id"]

/**
 * What a request answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Success<R extends Any> = R[TypeId]["success"]

/**
 * What sending a request may fail with, and what its handler may fail with: the declared failure and those of the
 * middleware named on it or on its namespaces.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<R extends Any> = R[TypeId]["failure"]

/**
 * The services that a request's middleware provides to its handler.
 *
 * @since 0.1.0
 * @category models
 */
export type Provides<R extends Any> = Middleware.Provides<R[TypeId]["middleware"]>

/**
 * The middleware whose layers a handler of the request needs.
 *
 * @since 0.1.0
 * @category models
 */
export type Middlewares<R extends Any> = Middleware.Identifier<R[TypeId]["middleware"]>

/**
 * The schema of a request's failure, with that of its middleware.
 *
 * @since 0.1.0
 * @category models
 */
export type FailureSchema<F extends Schema.Schema.All, M extends ReadonlyArray<Middleware.Any>> = [M[number]] extends
  [never] ? F
  : Schema.Union<[F, ...{ [K in keyof M]: M[K]["failure"] }]>

/**
 * The class of a command or query. It is a `Schema.TaggedRequest`: `Rpc.fromTaggedRequest`, `RequestResolver` and
 * `Workflow` take it as it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Class<
  Self,
  K extends "command" | "query",
  Id extends string,
  Tag extends string,
  P extends Schema.Struct.Fields,
  S extends Schema.Schema.All,
  F extends Schema.Schema.All,
  M extends ReadonlyArray<Middleware.Any>
> extends
  Schema.Class<
    Self,
    P,
    Schema.Struct.Encoded<P>,
    Schema.Struct.Context<P>,
    Schema.Struct.Constructor<Omit<P, "_tag">>,
    & Schema.TaggedRequest<
      Tag,
      Self,
      Schema.Struct.Encoded<P>,
      Schema.Struct.Context<P>,
      Schema.Schema.Type<S>,
      Schema.Schema.Encoded<S>,
      Schema.Schema.Type<F>,
      Schema.Schema.Encoded<F>,
      Schema.Schema.Context<S> | Schema.Schema.Context<F>
    >
    & { readonly [TypeId]: Info<K, Id, Schema.Schema.Type<S>, Schema.Schema.Type<F>, M> },
    {}
  >
{
  readonly _tag: Tag
  readonly id: Id
  readonly kind: K
  readonly success: S
  readonly failure: F
  readonly middleware: M
}

/**
 * How a request is declared.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<
  P extends Schema.Struct.Fields,
  S extends Schema.Schema.All,
  F extends Schema.Schema.All,
  M extends ReadonlyArray<Middleware.Any>
> {
  /** The fields, as of a `Schema.Struct`; none unless given. The constructor validates them. */
  readonly payload?: P | undefined
  /** The schema of the answer; `Schema.Void` unless given. */
  readonly success?: S | undefined
  /** The schema of the failure; `Schema.Never` unless given. A handler may fail with nothing else. */
  readonly failure?: F | undefined
  /** What wraps the handler, the first outermost. */
  readonly middleware?: M | undefined
}

/**
 * The constructor of request classes, as `Command.make`, `Query.make` and namespaces have it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Make<
  K extends "command" | "query",
  Usage extends string,
  Prefix extends string,
  GM extends ReadonlyArray<Middleware.Any>
> {
  <Self = never>(): <
    const Tag extends string,
    P extends Schema.Struct.Fields = {},
    S extends Schema.Schema.All = typeof Schema.Void,
    F extends Schema.Schema.All = typeof Schema.Never,
    const M extends ReadonlyArray<Middleware.Any> = []
  >(
    tag: Tag,
    options?: Options<P, S, F, M> | undefined
  ) => [Self] extends [never] ?
    `Missing \`Self\` generic - use \`class Self extends ${Usage}<Self>()("Tag", { ... }) {}\``
    : [Middleware.Misplaced<K, `${Prefix}${Tag}`, [...GM, ...M]>] extends [never] ? Class<
        Self,
        K,
        `${Prefix}${Tag}`,
        Tag,
        { readonly _tag: Schema.tag<Tag> } & P,
        S,
        FailureSchema<F, [...GM, ...M]>,
        [...GM, ...M]
      >
    : Middleware.Misplaced<K, `${Prefix}${Tag}`, [...GM, ...M]>
}
