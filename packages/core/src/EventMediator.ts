/**
 * Brings a received message to the handlers of its event.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Event from "./Event.ts"
import { HandlerError } from "./HandlerError.ts"
import { runConsumed } from "./internal/consumer/running.ts"
import type { Definition } from "./internal/event.ts"
import { fixedOrigin, Handling } from "./internal/handling.ts"
import { isReady } from "./internal/ready.ts"
import { contributed, type Subscriber } from "./internal/subscribers.ts"
import { isTraced, messaging, placeOf, spanned } from "./internal/tracing.ts"
import type { Message } from "./Message.ts"
import * as Serialization from "./Serialization.ts"
import type * as Subscribers from "./Subscribers.ts"

/**
 * - `UnknownEvent`: no event of this name was given to the mediator.
 * - `Undecodable`: the message does not fit its event.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventMediatorError
  extends Schema.TaggedError<EventMediatorError>("@effect-cqrs/core/EventMediatorError")("EventMediatorError", {
    reason: Schema.Literal("UnknownEvent", "Undecodable"),
    message: Schema.String
  })
{}

/**
 * How one handler of a message's event fared.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handled {
  readonly handler: string
  readonly exit: Exit.Exit<unknown, unknown>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface EventMediator {
  /** The topics of its events. */
  readonly topics: ReadonlyArray<string>

  /**
   * Decodes a message and runs the handlers of its event, one after the other, each to its end whatever became of the
   * others. Answers how each fared: a handler's failure is not one of `dispatch`.
   *
   * `only`: the handlers to run, all unless given. `around`: wraps each handler, inside its middleware's outermost.
   * `attributes`: of the span `process {topic}` that this is where a tracer listens, beside its own.
   * What the handlers send, emit and add has the message's correlation id, and the message as its cause.
   */
  readonly dispatch: (
    message: Message,
    options?: {
      readonly only?: ReadonlySet<string> | undefined
      readonly around?:
        | ((options: {
          readonly handler: string
          readonly effect: Effect.Effect<unknown, unknown>
        }) => Effect.Effect<unknown, unknown>)
        | undefined
      readonly attributes?: Readonly<Record<string, unknown>> | undefined
    } | undefined
  ) => Effect.Effect<ReadonlyArray<Handled>, EventMediatorError>
}

/**
 * A mediator for some events, with the handlers of the `Subscribers` layers that were provided to it, and no others: two
 * mediators of one program may handle one event differently. It dies if two of the events, or two handlers of one of
 * them, have one name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Evs extends ReadonlyArray<Event.ClassOf<Event.Integration>>>(
  events: Evs
): Effect.Effect<EventMediator, never, Subscribers.Of<InstanceType<Evs[number]>>> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<any>()
    const known = new Map<string, Known>()
    for (const event of events as ReadonlyArray<unknown> as ReadonlyArray<Definition>) {
      if (known.has(event.eventName)) {
        return yield* Effect.die(
          new HandlerError({
            reason: "NameTaken",
            message: `Two events of one consumer are named ${event.eventName}: a message could be either. Rename one`
          })
        )
      }
      known.set(event.eventName, {
        definition: event,
        handlers: yield* Effect.sync(() => [...contributed(context, event)])
      })
    }
    const handle = (
      { handlers }: Known,
      event: object,
      message: Message,
      options: Parameters<EventMediator["dispatch"]>[1]
    ): Effect.Effect<ReadonlyArray<Handled>> => {
      const origin = fixedOrigin(message.correlationId, message.causationId)
      const handled: Array<Handled> = []
      const run = ([handler, subscriber]: Known["handlers"][number]) =>
        runConsumed({
          handler,
          subscriber,
          event,
          message,
          around: options?.around,
          handling: new Handling(message.name, origin, 0, message.id),
          into: handled
        })
      const only = options?.only
      const due = only === undefined ? handlers : handlers.filter(([handler]) => only.has(handler))
      if (due.length === 1) return run(due[0]!)
      let at = 0
      return Effect.as(
        Effect.whileLoop({ while: () => at < due.length, body: () => run(due[at++]!), step: () => {} }),
        handled
      )
    }
    const process = (
      found: Known,
      message: Message,
      options: Parameters<EventMediator["dispatch"]>[1],
      fiber: Fiber.RuntimeFiber<unknown, unknown>
    ): Effect.Effect<ReadonlyArray<Handled>, EventMediatorError> => {
      const decoded = Serialization.decodeOn(fiber, found.definition, message)
      return isReady(decoded)
        ? Either.isRight(decoded)
          ? handle(found, decoded.right, message, options)
          : Effect.fail(undecodable(decoded.left))
        : Effect.matchEffect(decoded, {
          onSuccess: (event) => handle(found, event, message, options),
          onFailure: (error) => Effect.fail(undecodable(error))
        })
    }
    const dispatch: EventMediator["dispatch"] = (message, options) => {
      const found = known.get(message.name)
      if (found === undefined) {
        return Effect.fail(
          new EventMediatorError({
            reason: "UnknownEvent",
            message:
              `No event named ${message.name} is known here: add its class to the consumer's events, or let the ` +
              "consumer ignore unknown events"
          })
        )
      }
      return Effect.withFiberRuntime((fiber) => {
        const effect = process(found, message, options, fiber)
        if (!isTraced(fiber)) return effect
        return spanned(effect, `process ${message.topic}`, {
          kind: "consumer",
          ...placeOf([message], fiber),
          attributes: {
            ...messaging("process", message.topic, undefined),
            "messaging.message.id": message.id,
            "messaging.message.conversation_id": message.correlationId,
            "cqrs.name": message.name,
            ...options?.attributes
          }
        })
      })
    }
    return { topics: [...new Set([...known.values()].map(({ definition }) => definition.topic))], dispatch }
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Known {
  readonly definition: Definition
  readonly handlers: ReadonlyArray<[string, Subscriber]>
}

const undecodable = ({ message }: Serialization.SerializationError) =>
  new EventMediatorError({ reason: "Undecodable", message })
