/**
 * Handlers of events, as layers: any number for each event, each with a name, known to the compiler.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type * as Event from "./Event.ts"
import { subscribe, subscribersLayer } from "./internal/subscribers.ts"
import type { Received } from "./Message.ts"
import type * as Middleware from "./Middleware.ts"
import type { Transaction } from "./Transaction.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/core/Subscribers"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * The requirement that emitting or consuming an event leaves behind: somebody has answered for its handlers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subscribers<in out Event> {
  readonly [TypeId]: Types.Invariant<Event>
}

/**
 * The requirement for each event of a union.
 *
 * @since 0.1.0
 * @category models
 */
export type Of<Ev> = Ev extends Event.Any ? Subscribers<Ev> : never

/**
 * Why a handler does not fit its event, in words.
 *
 * @since 0.1.0
 * @category models
 */
export type Problem<Ev extends Event.Any, Name extends string, E, R> =
  | (Event.KindOf<Ev> extends "domain" ? [E] extends [never] ? never
    : `The subscriber ${Name} of ${Event.NameOf<Ev>} may fail with ${NameOfError<E>}: handle it`
    : never)
  | (Transaction extends R
    ? `The subscriber ${Name} of ${Event.NameOf<Ev>} asks for Transaction: wrap it in Transaction.run`
    : never)
  | (Scope.Scope extends R
    ? `The subscriber ${Name} of ${Event.NameOf<Ev>} asks for Scope: close it inside, with Effect.scoped`
    : never)

/**
 * The keys of `H` that do not fit, each with the reason.
 *
 * @since 0.1.0
 * @category models
 */
export type Misfits<Ev extends Event.Any, H, M extends ReadonlyArray<Middleware.Any>> = {
  readonly [K in keyof H as `${BadKey<Ev, H, M, K>}`]: ProblemAt<Ev, H, M, K>
}

/**
 * Handlers of one event, by name; as an object, or as an Effect that makes the object.
 *
 * Layers of several modules for one event add up when they are merged. The name tells handlers of an event apart, in
 * reports, and in the inbox: a name that is taken fails when the layers are built. As with request handlers, what a
 * handler asks for is the layer's requirement.
 *
 * A handler of a **domain** event runs after the commit, with nobody left to hear of a failure: it may not have any,
 * and a defect is reported and changes nothing for the others. A handler of a **notification** or **ECST** event runs
 * for a received message (see `EventMediator`, `Consumer`) and may fail with anything: the message is then handled
 * again. A consumer has the handlers that were provided to it: two consumers of one program may differ.
 *
 * @example
 * ```ts
 * import { Event, EventEmitter, Subscribers } from "@effect-cqrs/core"
 * import { Console, Effect, Schema } from "effect"
 *
 * class UserJoined extends Event.domain<UserJoined>()("UserJoined", { userId: Schema.String }) {}
 *
 * const Greeter = Subscribers.layer(UserJoined, {
 *   greet: (event) => Console.log(`Welcome, ${event.userId}`)
 * })
 *
 * Effect.runSync(EventEmitter.emit(new UserJoined({ userId: "ada" })).pipe(Effect.provide(Greeter)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <
  Ev extends Event.Any,
  H extends { readonly [name: string]: (event: Ev) => Effect.Effect<unknown, any, any> } & Misfits<Ev, H, M>,
  EX = never,
  RX = never,
  const M extends ReadonlyArray<Middleware.Any> = []
>(
  event: Event.ClassOf<Ev>,
  build: H | Effect.Effect<H, EX, RX>,
  options?: {
    /** What wraps each of these handlers, the first outermost. */
    readonly middleware?:
      & M
      & ([Middleware.Misplaced<"event", Event.NameOf<Ev>, M>] extends [never] ? unknown
        : Middleware.Misplaced<"event", Event.NameOf<Ev>, M>)
  } | undefined
): Layer.Layer<
  Subscribers<Ev>,
  EX,
  Exclude<RX, Scope.Scope> | Exclude<Services<H>, Middleware.Provides<M> | Ambient<Ev>> | Middleware.Identifier<M>
> => unsafeCoerce(subscribe(event, build, options?.middleware ?? []))

/**
 * Says that an event has no handlers here.
 *
 * It also breaks a circle of events, each handled by emitting the other: provide `none` of the one to the layer of the
 * other. Where the circle's real handlers are in the program, they are still called.
 *
 * @since 0.1.0
 * @category layers
 */
export const none = <Ev extends Event.Any>(event: Event.ClassOf<Ev>): Layer.Layer<Subscribers<Ev>> =>
  unsafeCoerce(subscribersLayer(event))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type NameOfError<E> = 0 extends 1 & E ? "anything"
  : E extends { readonly _tag: infer Tag extends string } ? Tag
  : "an untagged error"

type ProblemAt<Ev extends Event.Any, H, M extends ReadonlyArray<Middleware.Any>, K extends keyof H> =
  IsAny<Parameter<H[K]>> extends true
    ? `The parameter of the subscriber ${K & string} of ${Event.NameOf<Ev>} is any: write its type`
    : H[K] extends (...args: any) => Effect.Effect<any, infer E, infer R>
      ? Problem<Ev, K & string, E | Middleware.Failure<M>, R>
    : never

/** TypeScript carries no types into a pipe: there the parameter of a generator is silently `any`. */
type Parameter<H> = H extends (parameter: infer P, ...rest: any) => any ? P : never

type IsAny<T> = 0 extends 1 & T ? true : false

type BadKey<Ev extends Event.Any, H, M extends ReadonlyArray<Middleware.Any>, K extends keyof H> =
  [ProblemAt<Ev, H, M, K>] extends [never] ? never : K & string

/** What every handler of the event has. */
type Ambient<Ev extends Event.Any> = Event.KindOf<Ev> extends "domain" ? never : Received

type Services<H> = {
  [K in keyof H]: H[K] extends (...args: any) => Effect.Effect<any, any, infer R> ? R : never
}[keyof H]
