/**
 * What it costs to send a request to its handler.
 */
import * as Mediator from "@effect-cqrs/core/Mediator"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement } from "../Suite.ts"
import { mediatrTs, nest, type Peer } from "./Peers.ts"
import { effects, promises } from "./Repeat.ts"
import { answer, ask, AskHandler, find, FindHandler, many, wrapped, WrappedHandler, wraps } from "./Requests.ts"

const kinds = 1000

export const send: Measurement = {
  name: "mediator",
  needs: [],
  rounds: { full: 15, quick: 5 },
  rows: [
    {
      id: "send/nestjs",
      title: "send to a handler that answers at once, against @nestjs/cqrs",
      unit: "µs",
      subject: { contender: "mediator", figure: "send" },
      twin: { contender: "@nestjs/cqrs", figure: "send" },
      target: { atMost: 1 }
    },
    {
      id: "send/mediatr-ts",
      title: "  against mediatr-ts",
      unit: "µs",
      subject: { contender: "mediator", figure: "send" },
      twin: { contender: "mediatr-ts", figure: "send" },
      target: { atMost: 1 / 3 }
    },
    {
      id: "send/by-hand",
      title: "  against calling the handler",
      unit: "µs",
      subject: { contender: "mediator", figure: "send" },
      twin: { contender: "mediator", figure: "by hand" }
    },
    {
      id: "send/services",
      title: "  what services of the handler's own add",
      unit: "µs",
      subject: { contender: "mediator", figure: "services" },
      target: { atMost: 1 }
    },
    {
      id: "send/middleware",
      title: "  what a middleware adds",
      unit: "µs",
      subject: { contender: "mediator", figure: "middleware" }
    },
    {
      id: "send/1000-kinds",
      title: `  one of ${kinds.toLocaleString("en")} kinds of requests, against the only one`,
      unit: "µs",
      subject: { contender: "mediator", figure: "one of many" },
      twin: { contender: "mediator", figure: "the only one" },
      target: { atMost: 1.1 }
    },
    {
      id: "send/each-kind",
      title: `  each of ${kinds.toLocaleString("en")} kinds in turn, against the only one`,
      unit: "µs",
      subject: { contender: "mediator", figure: "each in turn" },
      twin: { contender: "mediator", figure: "the only one" }
    },
    {
      id: "send/untraced",
      title: "  where no tracer listens, against Effect.withSpan there",
      unit: "µs",
      subject: { contender: "mediator", figure: "send" },
      twin: { contender: "tracing", figure: "span that nobody sees" }
    },
    {
      id: "send/traced",
      title: "  where a tracer listens, against Effect.withSpan there",
      unit: "µs",
      subject: { contender: "tracing", figure: "send" },
      twin: { contender: "tracing", figure: "span" }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const calls = count(300_000)
    const numbered = many(kinds)
    const alone = many(1)
    const context = built(Layer.mergeAll(AskHandler, FindHandler, WrappedHandler))
    const full = built(numbered.layer)
    const single = built(alone.layer)
    const sendAsk = Effect.provide(Mediator.send(ask), context)
    yield* rightly("Mediator.send", sendAsk)
    const within = <R>(context: Context.Context<R>) => (program: Effect.Effect<number, unknown>) =>
      Effect.provide(program, context)
    const sent = (request: Parameters<typeof Mediator.send>[0]) => Mediator.send(request) as Effect.Effect<unknown>

    const mediator = Effect.gen(function*() {
      const mine = yield* effects(
        calls,
        { send: [sent(ask)], services: [sent(find)], middleware: [sent(wrapped)], "by hand": [handled] },
        within(context)
      )
      const spread = yield* effects(
        calls,
        { "one of many": [sent(numbered.commands[500]!)], "each in turn": numbered.commands.map(sent) },
        within(full)
      )
      const { only } = yield* effects(calls, { only: [sent(alone.commands[0]!)] }, within(single))
      return {
        ...mine,
        ...spread,
        "the only one": only,
        services: mine.services - mine.send,
        middleware: (mine.middleware - mine.send) / wraps
      }
    })
    const tracing = Effect.gen(function*() {
      const few = Math.ceil(calls / 10)
      const span = Effect.withSpan(handled, "Mediator.send Ask", { captureStackTrace: false })
      const { unseen } = yield* effects(few, { unseen: [span] })
      const seen = yield* effects(
        few,
        { send: [sent(ask)], span: [span] },
        (program) => Effect.withTracer(within(context)(program), listening)
      )
      return { ...seen, "span that nobody sees": unseen }
    })
    const peer = ({ send }: Peer) => Effect.map(promises(calls, send), (send) => ({ send }))
    const nestjs = yield* nest
    const mediatr = yield* mediatrTs
    yield* rightly("@nestjs/cqrs", Effect.promise(nestjs.send))
    yield* rightly("mediatr-ts", Effect.promise(mediatr.send))
    return { mediator, tracing, "@nestjs/cqrs": peer(nestjs), "mediatr-ts": peer(mediatr) }
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Apart from this program, whose services would be the handlers' own. */
const built = <A>(layer: Layer.Layer<A>): Context.Context<A> => Effect.runSync(Effect.scoped(Layer.build(layer)))

/** The handler as it would be called by whoever has it at hand. */
const handled = Effect.suspend(() => answer)

const rightly = (name: string, answer: Effect.Effect<number>) =>
  Effect.filterOrFail(
    answer,
    (value) => value === 42,
    (value) => new WrongResult({ message: `${name} answered ${value}` })
  )

/** Takes every span, and keeps none. */
const listening: Tracer.Tracer = Tracer.make({
  span: (name, parent, context, links, startTime, kind) => ({
    _tag: "Span",
    name,
    parent,
    context,
    links: [...links],
    kind,
    spanId: "0000000000000001",
    traceId: Option.match(parent, {
      onNone: () => "00000000000000000000000000000001",
      onSome: ({ traceId }) => traceId
    }),
    sampled: true,
    status: { _tag: "Started", startTime },
    attributes: new Map(),
    end: () => {},
    attribute: () => {},
    event: () => {},
    addLinks: () => {}
  }),
  context: (f) => f()
})
