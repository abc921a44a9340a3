import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Tracer from "effect/Tracer"
import type { Outcome } from "../Broker.ts"
import type { Message } from "../Message.ts"

/** Effect's own tracer, which nobody reads: opening a span there costs 11 µs for nothing. */
const silent = Context.get(DefaultServices.liveServices, Tracer.Tracer)

export const isTraced = (fiber: Fiber.RuntimeFiber<any, any>): boolean =>
  fiber.currentTracer !== silent && fiber.getFiberRef(FiberRef.currentTracerEnabled)

/** A span, where a tracer listens. */
export const spanned = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  name: string,
  options: Tracer.SpanOptions
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) =>
    (isTraced(fiber)
      ? Effect.withSpan(effect, name, { ...options, captureStackTrace: false })
      : effect) as Effect.Effect<
        A,
        E,
        R
      >
  )

/** What runs beside the program is no part of the trace in which it was started. */
export const outsideOfTrace: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = (effect) =>
  Effect.mapInputContext(effect, (context) => Context.omit(Tracer.ParentSpan)(context) as typeof context)

export class Across extends Context.Reference<Across>()("@effect-cqrs/core/Tracing/Across", {
  defaultValue: (): "link" | "parent" => "link"
}) {}

/**
 * The attributes of OpenTelemetry's messaging conventions (1.41) that all spans about messages have. Keys are left out on
 * purpose, as payloads are: they may name a person.
 */
export const messaging = (
  operation: "create" | "send" | "process",
  topic: string,
  system: string | undefined
): Record<string, unknown> => ({
  ...(system === undefined ? {} : { "messaging.system": system }),
  "messaging.operation.name": operation,
  "messaging.operation.type": operation,
  "messaging.destination.name": topic
})

/** Where a message was created, from its `traceparent` (W3C Trace Context, version 00, and what later ones begin with). */
const creationOf = ({ traceparent }: Message): Tracer.ExternalSpan | undefined => {
  const match = pattern.exec(traceparent ?? "")
  return match === null ? undefined : Tracer.externalSpan({
    traceId: match[1]!,
    spanId: match[2]!,
    sampled: (Number.parseInt(match[3]!, 16) & 1) === 1
  })
}

const pattern = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/

/**
 * How a span about messages belongs to their traces: linked to where they were created. Messages of traces that are not
 * sampled take it into one of these, so that it is not sampled either.
 */
export const placeOf = (
  messages: ReadonlyArray<Message>,
  fiber: Fiber.RuntimeFiber<any, any>
): Pick<Tracer.SpanOptions, "links" | "parent" | "root"> => {
  const links: Array<Tracer.SpanLink> = []
  let sampled: Tracer.ExternalSpan | undefined
  let other: Tracer.ExternalSpan | undefined
  for (const message of messages) {
    const span = creationOf(message)
    if (span === undefined) continue
    if (span.sampled) sampled ??= span
    else other ??= span
    links.push({
      _tag: "SpanLink",
      span,
      attributes: messages.length === 1 ? {} : { "messaging.message.id": message.id }
    })
  }
  if (fiber.currentSpan !== undefined) return { links }
  const across = Context.get(fiber.currentContext as Context.Context<never>, Across)
  const parent = sampled === undefined ? other : across === "parent" ? sampled : undefined
  return parent === undefined ? { links, root: true } : { links, parent }
}

/** OpenTelemetry drops what is over 128 links of a span, unless told otherwise. */
const mostLinks = 128

/** One for each topic, and for so many messages of it as a span can have links. */
const sharesOf = (batch: ReadonlyArray<Message>): ReadonlyArray<Share> => {
  const open = new Map<string, Array<number>>()
  const shares: Array<Share> = []
  for (const [at, { topic }] of batch.entries()) {
    let places = open.get(topic)
    if (places === undefined || places.length === mostLinks) {
      open.set(topic, places = [])
      shares.push({ topic, places })
    }
    places.push(at)
  }
  return shares
}

interface Share {
  readonly topic: string
  /** Of its messages in the batch. */
  readonly places: ReadonlyArray<number>
}

/**
 * Spans `send {topic}` round the publishing of a batch, where a tracer listens. Each failed if one of its messages was not
 * delivered. They are of the kind `client`, since it is the messages' creation that consumers link to.
 */
export const sending = (
  publish: Effect.Effect<ReadonlyArray<Outcome>>,
  batch: ReadonlyArray<Message>,
  system: string | undefined
): Effect.Effect<ReadonlyArray<Outcome>> =>
  Effect.withFiberRuntime((fiber) =>
    isTraced(fiber)
      ? sendingOn(fiber, publish, batch, system)
      : publish
  )

const sendingOn = (
  fiber: Fiber.RuntimeFiber<any, any>,
  publish: Effect.Effect<ReadonlyArray<Outcome>>,
  batch: ReadonlyArray<Message>,
  system: string | undefined
): Effect.Effect<ReadonlyArray<Outcome>> =>
  Effect.flatMap(
    Effect.forEach(sharesOf(batch), ({ places, topic }) => {
      const messages = places.map((at) => batch[at]!)
      return Effect.map(
        Effect.makeSpan(`send ${topic}`, {
          kind: "client",
          captureStackTrace: false,
          ...placeOf(messages, fiber),
          attributes: {
            ...messaging("send", topic, system),
            ...(messages.length === 1
              ? { "messaging.message.id": messages[0]!.id }
              : { "messaging.batch.message_count": messages.length })
          }
        }),
        (span) => ({ span, places })
      )
    }),
    (spans) =>
      Effect.onExit(
        spans.length === 1 ? Effect.withParentSpan(publish, spans[0]!.span) : publish,
        (exit) =>
          Effect.map(Clock.currentTimeNanos, (now) => {
            for (const { places, span } of spans) {
              const undelivered = Exit.isFailure(exit)
                ? undefined
                : places.find((at) => exit.value[at]?._tag !== "Delivered")
              if (undelivered === undefined || Exit.isFailure(exit)) span.end(now, exit)
              else {
                const { _tag, reason } = (exit.value[undelivered] ?? unanswered) as Undelivered
                span.attribute("error.type", _tag)
                span.end(now, Exit.fail(reason))
              }
            }
          })
      )
  )

type Undelivered = Exclude<Outcome, { readonly _tag: "Delivered" }>

const unanswered: Undelivered = { _tag: "Retriable", scope: "broker", reason: "The broker gave no answer" }
