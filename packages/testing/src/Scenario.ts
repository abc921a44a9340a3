/**
 * Given, when, then: what a handler does, told from outside. It is sent a request, or gets an event, after others; then its
 * answer or failure and all the events that came of it are as said, in order, and nothing else came of it.
 *
 * @since 0.1.0
 */
import * as Event from "@effect-cqrs/core/Event"
import * as EventEmitter from "@effect-cqrs/core/EventEmitter"
import * as EventMediator from "@effect-cqrs/core/EventMediator"
import type { Handler } from "@effect-cqrs/core/Handler"
import * as Mediator from "@effect-cqrs/core/Mediator"
import * as Request from "@effect-cqrs/core/Request"
import * as Serialization from "@effect-cqrs/core/Serialization"
import type { Subscribers } from "@effect-cqrs/core/Subscribers"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { unsafeCoerce } from "effect/Function"
import * as Schema from "effect/Schema"
import { mismatches } from "./internal/scenario/mismatches.ts"
import { nameOfStep } from "./internal/scenario/step.ts"
import type { Entry } from "./Recorder.ts"
import { Recorder } from "./Recorder.ts"

/**
 * What happened is not what was expected. `message` has the lines that differ; `expected` and `actual` are what test runners
 * draw their own difference from.
 *
 * @since 0.1.0
 * @category errors
 */
export class ScenarioError extends Schema.TaggedError<ScenarioError>("@effect-cqrs/testing/ScenarioError")(
  "ScenarioError",
  {
    /** `Given`: a step before the one under test failed. `Then`: the outcome differs. */
    reason: Schema.Literal("Given", "Then"),
    message: Schema.String,
    expected: Schema.Unknown,
    actual: Schema.Unknown
  }
) {}

/**
 * A request, which is sent; an event, which is brought to its subscribers as if it had been emitted or received; or an effect,
 * for state that is none of these.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = Request.Any | Event.Any | Effect.Effect<unknown, unknown, any>

/**
 * What a step answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer<S> = S extends Request.Any ? Request.Success<S>
  : S extends Event.Any ? void
  : S extends Effect.Effect<infer A, any, any> ? A
  : never

/**
 * How a step may fail. Subscribers of a received event may fail with anything.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<S> = S extends Request.Any ? Request.Failure<S>
  : S extends Event.Any ? Event.KindOf<S> extends "domain" ? never : unknown
  : S extends Effect.Effect<any, infer E, any> ? E
  : never

/**
 * What a step asks for.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<S> = S extends Request.Any ? Handler<S>
  : S extends Event.Any ? Subscribers<S>
  : S extends Effect.Effect<any, any, infer R> ? R
  : never

/**
 * What came of a step, since the steps before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly entries: ReadonlyArray<Entry>
}

/**
 * What is expected. Lists of events are complete and in order, and what is not mentioned is expected to be empty; only
 * `rolledBack` and `answer` are not looked at unless given.
 *
 * @since 0.1.0
 * @category models
 */
export type Expectation<A, E> =
  & {
    /** Added to the outbox, and committed. */
    readonly added?: ReadonlyArray<Event.Integration> | undefined
    /** Domain events that were dispatched; see `Recorder.layerSubscribers`. */
    readonly emitted?: ReadonlyArray<Event.Domain> | undefined
    /** Emitted straight to the broker, and taken by it. */
    readonly published?: ReadonlyArray<Event.Integration> | undefined
    /** Added to the outbox, and rolled back. */
    readonly rolledBack?: ReadonlyArray<Event.Integration> | undefined
    /** Requests that mocks were sent. */
    readonly sent?: ReadonlyArray<Request.Any> | undefined
  }
  & (
    | { readonly answer?: A; readonly failure?: undefined; readonly defect?: undefined }
    /** It fails, with this and nothing else. */
    | { readonly answer?: undefined; readonly failure: E; readonly defect?: undefined }
    /** It dies, with this. */
    | { readonly answer?: undefined; readonly failure?: undefined; readonly defect: unknown }
  )

/**
 * Runs the steps of `given`, which must succeed, then `when`, and answers with what came of it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = <When extends Step, const Given extends ReadonlyArray<Step> = readonly []>(scenario: {
  readonly given?: Given | undefined
  readonly when: When
}): Effect.Effect<
  Outcome<Answer<When>, Failure<When>>,
  ScenarioError,
  Requirements<Given[number]> | Requirements<When> | Recorder
> =>
  unsafeCoerce(Effect.gen(function*() {
    for (const [at, step] of (scenario.given ?? []).entries()) {
      yield* Effect.catchAllCause(take(step), (cause) =>
        new ScenarioError({
          reason: "Given",
          message: `Given ${nameOfStep(step)} (step ${at + 1}): it was to succeed, and did not\n${Cause.pretty(cause)}`,
          expected: undefined,
          actual: Cause.squash(cause)
        }))
    }
    const { entries } = yield* Recorder
    const before = (yield* entries).length
    const exit = yield* Effect.exit(take(scenario.when))
    return { exit, entries: (yield* entries).slice(before) }
  }))

/**
 * Runs the steps of `given`, then `when`, and fails with a {@link ScenarioError} unless what came of it is what `then` says.
 *
 * Needs `Recorder` and what the handlers need: `Testbed.layer()` has all but the handlers themselves.
 *
 * @example
 * ```ts
 * import { Command, Event, Handler, Outbox, Transaction } from "@effect-cqrs/core"
 * import { Scenario, Testbed } from "@effect-cqrs/testing"
 * import { Effect, Layer, Schema } from "effect"
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
 *   topic: "rooms",
 *   payload: { roomId: Schema.String }
 * }) {}
 *
 * class CloseRoom extends Command.make<CloseRoom>()("CloseRoom", {
 *   payload: { roomId: Schema.String },
 *   middleware: [Transaction.Transactional]
 * }) {}
 *
 * const CloseRoomHandler = Handler.layer(CloseRoom, ({ roomId }) => Effect.asVoid(Outbox.add(new RoomClosed({ roomId }))))
 *
 * const test = Scenario.check({
 *   when: new CloseRoom({ roomId: "blue" }),
 *   then: { added: [new RoomClosed({ roomId: "blue" })] }
 * })
 *
 * await Effect.runPromise(Effect.provide(test, Layer.provideMerge(CloseRoomHandler, Testbed.layer())))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const check = <When extends Step, const Given extends ReadonlyArray<Step> = readonly []>(scenario: {
  readonly given?: Given | undefined
  readonly when: When
  readonly then: Expectation<Answer<NoInfer<When>>, Failure<NoInfer<When>>>
}): Effect.Effect<
  void,
  ScenarioError,
  Requirements<Given[number]> | Requirements<When> | Recorder
> =>
  unsafeCoerce(
    Effect.flatMap(run(scenario), (outcome) =>
      Effect.flatMap(mismatches(outcome, scenario.then), (found) => {
        if (found.length === 0) return Effect.void
        const of = (side: "expected" | "actual") => Object.fromEntries(found.map((one) => [one.what, one[side]]))
        return new ScenarioError({
          reason: "Then",
          message: [
            `When ${nameOfStep(scenario.when)}: not what was expected (- expected, + received)`,
            ...found.flatMap(({ lines, what }) => [`${what}:`, ...lines.map((line) => `  ${line}`)])
          ].join("\n"),
          expected: of("expected"),
          actual: of("actual")
        })
      }))
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const take = (step: Step): Effect.Effect<unknown, unknown, unknown> =>
  Request.TypeId in step
    ? Mediator.send(step)
    : Event.TypeId in step
    ? isIntegration(step) ? receive(step) : EventEmitter.emit(step)
    : step

const isIntegration = (event: Event.Any): event is Event.Integration => event[Event.TypeId].kind !== "domain"

/** As a consumer would bring it to its subscribers; the first that fails is what it fails with. */
const receive = (event: Event.Integration): Effect.Effect<void, unknown, Subscribers<Event.Integration>> =>
  Effect.gen(function*() {
    const mediator = yield* EventMediator.make([event.constructor as Event.ClassOf<Event.Integration>])
    const handled = yield* mediator.dispatch(yield* Serialization.encode(event))
    const failed = handled.find(({ exit }) => Exit.isFailure(exit))
    if (failed !== undefined) yield* failed.exit
  })
