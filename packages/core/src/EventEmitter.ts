/**
 * Emits events from handlers: domain events to their handlers in this process, the others straight to the broker.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Broker } from "./Broker.ts"
import type * as Event from "./Event.ts"
import { dispatch } from "./internal/emission.ts"
import { type Definition, definitionOf } from "./internal/event.ts"
import { currentHandling, currentOrigin, type Emission, Handling } from "./internal/handling.ts"
import { requireWhole } from "./internal/options.ts"
import { type Registry, registryIn, runSubscriber } from "./internal/subscribers.ts"
import { sending } from "./internal/tracing.ts"
import { endedError, type OpenTransaction, openTransaction, transactionTag } from "./internal/transaction.ts"
import type { Message } from "./Message.ts"
import * as Serialization from "./Serialization.ts"
import type * as Subscribers from "./Subscribers.ts"
import type { Transaction, TransactionError } from "./Transaction.ts"

/**
 * Something became of an emitted event that should not have. It is reported, never raised: the handler that emitted it
 * has succeeded, and its transaction is committed.
 *
 * - `SubscriberFailed`: one handler of the event died or was interrupted. The others ran.
 * - `TooDeep`: events caused events in a chain longer than the policy allows, most likely in a circle. This one was not
 *   dispatched.
 * - `NotDelivered`: a notification or ECST event did not reach the broker. It is lost: use the outbox for what must
 *   arrive.
 *
 * @since 0.1.0
 * @category errors
 */
export class EmissionError
  extends Schema.TaggedError<EmissionError>("@effect-cqrs/core/EmissionError")("EmissionError", {
    reason: Schema.Literal("SubscriberFailed", "TooDeep", "NotDelivered"),
    event: Schema.String,
    subscriber: Schema.optional(Schema.String),
    message: Schema.String,
    cause: Schema.optional(Schema.Defect)
  })
{}

/**
 * How emitted events are dispatched.
 *
 * @since 0.1.0
 * @category models
 */
export interface PolicyOptions {
  /** How many handlers of one event run at a time. Default 1: one after the other, in the order of their layers. */
  readonly concurrency?: number | "unbounded" | undefined
  /** How many events may cause one another in a chain. Default 16. */
  readonly maxDepth?: number | undefined
  /** Hears what went wrong. Default: logged as an error. */
  readonly onFailure?: ((error: EmissionError) => Effect.Effect<void>) | undefined
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Policy extends Context.Reference<Policy>()("@effect-cqrs/core/EventEmitter/Policy", {
  defaultValue: (): PolicyOptions => ({})
}) {}

/**
 * Sets the {@link Policy} of the program. A `maxDepth` or `concurrency` that is not a whole number from 1 is a defect when
 * the layer is built, with a sentence.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPolicy = (options: PolicyOptions): Layer.Layer<never> =>
  Layer.effect(
    Policy,
    Effect.sync(() => {
      requireWhole("The maxDepth of EventEmitter.layerPolicy", options.maxDepth, 1)
      if (options.concurrency !== "unbounded") {
        requireWhole("The concurrency of EventEmitter.layerPolicy", options.concurrency, 1)
      }
      return options
    })
  )

/**
 * What emitting an event asks for: the answer of its subscribers, or a broker.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<Ev extends Event.Any> = Ev extends Event.Any
  ? Event.KindOf<Ev> extends "domain" ? Subscribers.Subscribers<Ev> : Broker
  : never

/**
 * How emitting an event may fail: an event for the broker must fit its schema.
 *
 * @since 0.1.0
 * @category models
 */
export type Failure<Ev extends Event.Any> = Ev extends Event.Any
  ? Event.KindOf<Ev> extends "domain" ? never : Serialization.SerializationError
  : never

/**
 * Emits an event. Inside a handler it is kept until the handler has succeeded and the outermost transaction it was
 * emitted in has committed, then dispatched, in order, before `Mediator.send` returns; if either fails, or a savepoint
 * it was emitted in is rolled back, it never happened. Outside of any handler and transaction it is dispatched at once.
 * An interruption of the sender waits for a dispatch that has begun, and drops nothing of it.
 *
 * - A **domain** event goes to its handlers, one event after the other. A handler's failure is isolated and reported to
 *   the {@link Policy}. What handlers emit in turn follows behind the events emitted so far. It dies with the process:
 *   what must survive belongs in the outbox. If the handlers that are there are those of another class of the same name,
 *   it dies with a `HandlerError` (`NameTaken`).
 * - A **notification** or **ECST** event goes straight to the broker, once, best effort: a crash or an outage after the
 *   commit loses it. `Outbox.add` does not.
 *
 * @since 0.1.0
 * @category combinators
 */
export const emit = <Ev extends Event.Any>(event: Ev): Effect.Effect<void, Failure<Ev>, Requirements<Ev>> =>
  Effect.withFiberRuntime((fiber): Effect.Effect<void, any, any> => {
    const definition = definitionOf(event)
    return definition.kind === "domain"
      ? place(domainEmission(event, definition, fiber), fiber)
      : Effect.flatMap(
        Serialization.encode(event as Event.Integration),
        (message) => place(brokerEmission(message, fiber), fiber)
      )
  })

/**
 * Runs a domain event's handlers now, inside the open transaction, one after the other; they may write, and announce
 * events through `Transaction.run` and `Outbox.add`, which then become part of it. A handler that dies rolls the
 * transaction back, unless somebody catches it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const emitInTransaction = <Ev extends Event.Domain>(
  event: Ev
): Effect.Effect<void, TransactionError, Transaction | Subscribers.Of<Ev>> =>
  unsafeCoerce(Effect.flatMap(transactionTag, (open) =>
    Effect.withFiberRuntime<void, TransactionError>((fiber) => {
      if (open.ended()) return Effect.fail(endedError("An event was emitted"))
      const definition = definitionOf(event)
      const { maxDepth = defaultMaxDepth } = Context.get(fiber.currentContext as Context.Context<any>, Policy)
      const depth = (currentHandling(fiber)?.depth ?? 0) + 1
      if (depth > maxDepth) return Effect.die(tooDeep(definition.eventName, maxDepth))
      const origin = fiber.getFiberRef(currentOrigin)
      return Effect.forEach(registryOf(definition, fiber).handlers, ([handler, { run }]) =>
        Effect.flatMap(
          runSubscriber(handler, run(event), new Handling(definition.eventName, origin, depth)),
          ({ emissions, exit }) =>
            Exit.isFailure(exit)
              ? Effect.failCause(exit.cause as Cause.Cause<never>)
              : Effect.forEach(emissions, (emission) => join(emission, open), { discard: true })
        ), { discard: true })
    })))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type AnyFiber = Fiber.RuntimeFiber<any, any>

const defaultMaxDepth = 16

const never = { failed: false } as const

const registryOf = (definition: Definition, fiber: AnyFiber): Registry =>
  registryIn(fiber.currentContext, definition) ?? { event: definition, handlers: new Map() }

/** To the open transaction, or to the handler that runs, or, if there is neither, to the subscribers right away. */
const place = (emission: Emission, fiber: AnyFiber): Effect.Effect<void> => {
  const open = openTransaction(fiber)
  return open === undefined || open.ended() ? placeOutside(emission) : join(emission, open)
}

const placeOutside = (emission: Emission): Effect.Effect<void> => {
  if (emission.handling?.state !== "running") return dispatch([emission])
  emission.handling.pending.push(emission)
  return Effect.void
}

const join = (emission: Emission, open: OpenTransaction): Effect.Effect<void> =>
  Effect.sync(() => {
    open.journal.add({ _tag: "Emission", emission })
    open.touch()
  })

const base = (name: string, fiber: AnyFiber, policy: PolicyOptions) => {
  const handling = currentHandling(fiber)
  const depth = (handling?.depth ?? 0) + 1
  const maxDepth = policy.maxDepth ?? defaultMaxDepth
  return {
    name,
    handling,
    depth,
    maxDepth,
    attempt: handling?.attempt ?? never,
    tooDeep: Effect.suspend(() => report(policy, tooDeep(name, maxDepth)))
  }
}

const domainEmission = (event: object, definition: Definition, fiber: AnyFiber): Emission => {
  const name = definition.eventName
  const policy = Context.get(fiber.currentContext as Context.Context<any>, Policy)
  const registry = registryOf(definition, fiber)
  const origin = fiber.getFiberRef(currentOrigin)
  const common = base(name, fiber, policy)
  return {
    ...common,
    deliver: Effect.suspend(() => {
      const handlers = [...registry.handlers]
      if (handlers.length === 0) return Effect.succeed([])
      // all handlers of one event have the event as their cause
      const asEvent = new Handling(name, origin, common.depth)
      return Effect.map(
        Effect.forEach(handlers, ([handler, { run }]) =>
          Effect.flatMap(
            runSubscriber(handler, run(event), new Handling(name, asEvent, common.depth, asEvent)),
            ({ emissions, exit }) =>
              Exit.isSuccess(exit) ? Effect.succeed(emissions) : Effect.as(
                report(policy, subscriberFailed(name, handler, exit.cause)),
                emissions
              )
          ), { concurrency: policy.concurrency ?? 1 }),
        (followUps) => followUps.flat()
      )
    })
  }
}

const brokerEmission = (message: Message, fiber: AnyFiber): Emission => {
  const policy = Context.get(fiber.currentContext as Context.Context<any>, Policy)
  const broker = Context.unsafeGet(fiber.currentContext as Context.Context<Broker>, Broker)
  return {
    ...base(message.name, fiber, policy),
    deliver: sending(broker.publish([message]), [message], broker.system).pipe(
      Effect.flatMap(([outcome]) =>
        outcome?._tag === "Delivered"
          ? Effect.void
          : report(policy, notDelivered(message.name, outcome?.reason ?? "it gave no answer"))
      ),
      Effect.catchAllDefect((defect) => report(policy, notDelivered(message.name, "its adapter died", defect))),
      Effect.as([])
    )
  }
}

const report = (policy: PolicyOptions, error: EmissionError): Effect.Effect<void> =>
  policy.onFailure === undefined
    ? Effect.logError(error.message, ...(error.cause === undefined ? [] : [error.cause]))
    : Effect.catchAllCause(policy.onFailure(error), (cause) => Effect.logError(error.message, cause))

const subscriberFailed = (event: string, subscriber: string, cause: Cause.Cause<unknown>) =>
  new EmissionError({
    reason: "SubscriberFailed",
    event,
    subscriber,
    message: `The subscriber ${subscriber} of ${event} failed. What emitted the event stays done; nobody repeats the ` +
      "subscriber: make it handle its failures, or use the outbox",
    cause: Cause.squash(cause)
  })

const notDelivered = (event: string, reason: string, cause?: unknown) =>
  new EmissionError({
    reason: "NotDelivered",
    event,
    message: `${event} did not reach the broker and is lost: ${reason}. Use Outbox.add for events that must arrive`,
    ...(cause === undefined ? {} : { cause })
  })

const tooDeep = (event: string, maxDepth: number) =>
  new EmissionError({
    reason: "TooDeep",
    event,
    message: `${event} was not dispatched: it is the end of a chain of more than ${maxDepth} events that caused one ` +
      "another, most likely in a circle. Break the circle, or raise maxDepth in EventEmitter.layerPolicy"
  })
