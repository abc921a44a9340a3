/** The spans of messages, and how they belong together. */
import { Broker, Consumer, OutboxStorage, Relay, Subscribers, Tracing } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Schedule, Tracer } from "effect"
import {
  BrokerOut,
  Delivered,
  DestinationOut,
  message,
  quiet,
  Rejected,
  RelayGround,
  RoomClosed,
  Scripted,
  settled
} from "./fixtures.ts"
import { answering, commit, manual, room, tick } from "./support/relay.ts"

interface Seen {
  readonly name: string
  readonly kind: string
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
  readonly parent: string | undefined
  /** The spans it is linked to, with the links' attributes. */
  readonly links: ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>]>
  readonly attributes: ReadonlyMap<string, unknown>
  readonly error: () => unknown
}

/** A tracer that samples as its parents do, and keeps what has begun. */
const recording = () => {
  const seen: Array<Seen> = []
  const hex = (length: number, n: number) => n.toString(16).padStart(length, "0")
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const above = Option.getOrUndefined(parent)
      const attributes = new Map<string, unknown>()
      let status: Tracer.SpanStatus = { _tag: "Started", startTime }
      const span: Tracer.Span = {
        _tag: "Span",
        name,
        spanId: hex(16, seen.length + 1),
        traceId: above?.traceId ?? hex(32, seen.length + 1),
        parent,
        context,
        get status() {
          return status
        },
        attributes,
        links,
        sampled: above?.sampled ?? true,
        kind,
        end: (endTime, exit) => {
          status = { _tag: "Ended", startTime, endTime, exit }
        },
        attribute: (key, value) => void attributes.set(key, value),
        event: () => {},
        addLinks: () => {}
      }
      seen.push({
        name,
        kind,
        traceId: span.traceId,
        spanId: span.spanId,
        sampled: span.sampled,
        parent: above?.spanId,
        links: links.map(({ attributes, span }) => [span.spanId, attributes]),
        attributes,
        error: () => status._tag === "Ended" && Exit.isFailure(status.exit) ? status.exit.cause.toString() : undefined
      })
      return span
    },
    context: (execute) => execute()
  })
  const named = (name: string) => seen.filter((span) => span.name === name)
  return { layer: Layer.setTracer(tracer), tracer, seen, named }
}

const traceparent = (n: number, flags = "01") =>
  `00-${String(n).padStart(32, "a")}-${String(n).padStart(16, "b")}-${flags}`
const idOf = (n: number) => String(n).padStart(16, "b")

/** What has the ids and the sampling of a message's creation. */
const tracedMessage = (n: number, given: Parameters<typeof message>[0] = {}, flags?: string) =>
  message({ traceparent: traceparent(n, flags), key: String(n), ...given })

const consumer = (options?: { readonly retry?: Schedule.Schedule<unknown, unknown> }) =>
  Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], ...options })

const Handled = Subscribers.layer(RoomClosed, { handle: () => Effect.withSpan(Effect.void, "inside") })

describe("the creation of a message", () => {
  it.effect("is a span in its transaction, whose context the message has", () =>
    Effect.gen(function*() {
      const { layer, named } = recording()
      yield* Effect.gen(function*() {
        yield* Effect.withSpan(commit(room("a", 1)), "request")
        yield* tick
        const [created] = named("create rooms")
        assert.deepInclude(created, { kind: "producer", parent: named("request")[0]!.spanId })
        const { delivered } = yield* Scripted
        assert.strictEqual(delivered[0]!.traceparent, `00-${created!.traceId}-${created!.spanId}-01`)
        assert.deepStrictEqual(Object.fromEntries(created!.attributes), {
          "messaging.operation.name": "create",
          "messaging.operation.type": "create",
          "messaging.destination.name": "rooms",
          "messaging.message.id": delivered[0]!.id,
          "cqrs.name": "room_closed"
        })
      }).pipe(Effect.provide(manual().pipe(Layer.provideMerge(layer))))
    }))

  it.effect("without a tracer, or with one that is switched off, hands on the context that it has", () =>
    Effect.gen(function*() {
      const { layer, seen } = recording()
      const parent = Tracer.externalSpan({ traceId: "c".repeat(32), spanId: "d".repeat(16), sampled: false })
      const write = Effect.withParentSpan(commit(room("a", 1)), parent)
      const passedOn = Effect.zipRight(
        Effect.zipRight(write, tick),
        Effect.map(Scripted, ({ delivered }) => delivered.map((one) => one.traceparent))
      )
      const expected = [`00-${"c".repeat(32)}-${"d".repeat(16)}-00`]
      assert.deepStrictEqual(yield* Effect.provide(passedOn, manual()), expected)
      const off = Effect.withTracerEnabled(passedOn, false)
      assert.deepStrictEqual(yield* Effect.provide(off, manual().pipe(Layer.provideMerge(layer))), expected)
      assert.notInclude(seen.map(({ name }) => name), "create rooms")
    }))

  it.effect("in a trace that is not sampled makes a message that says so", () =>
    Effect.gen(function*() {
      const { layer } = recording()
      yield* Effect.gen(function*() {
        const parent = Tracer.externalSpan({ traceId: "c".repeat(32), spanId: "d".repeat(16), sampled: false })
        yield* Effect.withParentSpan(commit(room("a", 1)), parent)
        yield* tick
        assert.match((yield* Scripted).delivered[0]!.traceparent!, /^00-c{32}-[0-9a-f]{16}-00$/)
      }).pipe(Effect.provide(manual().pipe(Layer.provideMerge(layer))))
    }))
})

describe("a relay", () => {
  /** A relay whose outbox holds messages that others have made. */
  const sent = (messages: ReadonlyArray<ReturnType<typeof message>>, ...extra: ReadonlyArray<Layer.Layer<never>>) =>
    Effect.gen(function*() {
      const { layer, named, seen } = recording()
      const storage = yield* OutboxStorage.OutboxStorage
      yield* storage.append(messages)
      const made = Layer.build(Layer.scoped(Relay.Relay, Relay.make({ lanes: 1 })))
      yield* Effect.gen(function*() {
        const context = yield* made
        yield* Effect.provide(tick, context)
      }).pipe(Effect.scoped, Effect.provide(Layer.mergeAll(layer, ...extra)))
      return { named, seen }
    })

  it.effect("publishes in spans of their own, one for each topic, linked to where the messages were made", () =>
    Effect.gen(function*() {
      const { named, seen } = yield* sent([
        tracedMessage(1, { id: "one" }),
        tracedMessage(2, { id: "two" }),
        tracedMessage(3, { id: "three", topic: "openings" }),
        message({ id: "four", key: "4" })
      ])
      assert.deepStrictEqual(seen.map(({ name }) => name), ["send rooms", "send openings"])
      const [rooms] = named("send rooms")
      assert.deepInclude(rooms, { kind: "client", parent: undefined })
      assert.deepStrictEqual(rooms!.links, [
        [idOf(1), { "messaging.message.id": "one" }],
        [idOf(2), { "messaging.message.id": "two" }]
      ])
      assert.deepStrictEqual(Object.fromEntries(rooms!.attributes), {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "rooms",
        "messaging.batch.message_count": 3
      })
      const [openings] = named("send openings")
      assert.deepStrictEqual(openings!.links, [[idOf(3), {}]])
      assert.strictEqual(openings!.attributes.get("messaging.message.id"), "three")
      assert.isUndefined(rooms!.error())
    }).pipe(Effect.provide(Layer.merge(RelayGround, quiet))))

  it.effect("has no span with more links than OpenTelemetry keeps", () =>
    Effect.gen(function*() {
      const { named } = yield* sent(Array.from({ length: 300 }, (_, n) => tracedMessage(n + 1)))
      assert.deepStrictEqual(named("send rooms").map(({ links }) => links.length), [128, 128, 44])
    }).pipe(Effect.provide(Layer.merge(RelayGround, quiet))))

  for (
    const [outcome, type] of [[DestinationOut, "Retriable"], [BrokerOut, "Retriable"], [
      Rejected("too large"),
      "Rejected"
    ]] as const
  ) {
    it.effect(`has a span that failed where something was ${type}: ${outcome.reason}`, () =>
      Effect.gen(function*() {
        yield* answering((_, n) => n === 2 ? outcome : Delivered)
        const payloads = [1, 2].map((n) =>
          tracedMessage(n, { payload: new TextEncoder().encode(JSON.stringify({ room: "a", n })) })
        )
        const { named } = yield* sent(payloads)
        const [span] = named("send rooms")
        assert.strictEqual(span!.attributes.get("error.type"), type)
        assert.include(String(span!.error()), outcome.reason)
      }).pipe(Effect.provide(Layer.merge(RelayGround, quiet))))
  }

  it.effect("does not sample what belongs to traces that are not sampled", () =>
    Effect.gen(function*() {
      const { named } = yield* sent([tracedMessage(1, {}, "00"), tracedMessage(2, {}, "00")])
      assert.deepInclude(named("send rooms")[0], { sampled: false, parent: idOf(1) })
    }).pipe(Effect.provide(Layer.merge(RelayGround, quiet))))

  it.effect("publishes as part of the first trace that is sampled, if told to", () =>
    Effect.gen(function*() {
      const { named } = yield* sent(
        [tracedMessage(1, {}, "00"), tracedMessage(2), tracedMessage(3)],
        Tracing.layer({ across: "parent" })
      )
      const [span] = named("send rooms")
      assert.deepInclude(span, { sampled: true, parent: idOf(2) })
      assert.strictEqual(span!.links.length, 3)
    }).pipe(Effect.provide(Layer.merge(RelayGround, quiet))))

  it.effect("is in no trace of the program that has started it", () =>
    Effect.gen(function*() {
      const { layer, named } = recording()
      yield* Effect.gen(function*() {
        yield* commit(room("a", 1))
        yield* settled
        assert.deepInclude(named("send rooms")[0], { parent: undefined })
      }).pipe(
        Effect.provide(
          Relay.layer().pipe(
            Layer.provide(Layer.span("startup")),
            Layer.provideMerge(RelayGround),
            Layer.provideMerge(Layer.merge(layer, quiet))
          )
        )
      )
    }))
})

describe("a consumer", () => {
  const received = (
    messages: ReadonlyArray<ReturnType<typeof message>>,
    options: {
      readonly handlers?: typeof Handled
      readonly consumer?: ReturnType<typeof consumer>
      readonly extra?: Layer.Layer<never>
    } = {}
  ) =>
    Effect.gen(function*() {
      const { layer, named, seen } = recording()
      yield* Effect.gen(function*() {
        const broker = yield* Broker.Broker
        yield* broker.publish(messages)
        yield* settled
      }).pipe(
        Effect.provide(
          (options.consumer ?? consumer()).pipe(
            Layer.provide(Layer.span("startup")),
            Layer.provide(options.handlers ?? Handled),
            Layer.provideMerge(Broker.layerMemory()),
            Layer.provideMerge(Layer.mergeAll(layer, quiet, options.extra ?? Layer.empty))
          )
        )
      )
      return { named, seen }
    })

  it.effect("handles each message in a span of its own, linked to where the message was made", () =>
    Effect.gen(function*() {
      const { named } = yield* received([tracedMessage(1, { id: "one" })])
      const [span] = named("process rooms")
      assert.deepInclude(span, { kind: "consumer", parent: undefined, links: [[idOf(1), {}]] })
      assert.deepStrictEqual(Object.fromEntries(span!.attributes), {
        "messaging.system": "memory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "rooms",
        "messaging.message.id": "one",
        "messaging.message.conversation_id": "correlation",
        "messaging.consumer.group.name": "g",
        "cqrs.name": "room_closed"
      })
      assert.strictEqual(named("inside")[0]!.parent, span!.spanId)
    }))

  it.effect("does not sample what belongs to a trace that is not sampled, nor what its handlers do", () =>
    Effect.gen(function*() {
      const { named } = yield* received([tracedMessage(1, {}, "00")])
      assert.deepInclude(named("process rooms")[0], { sampled: false, parent: idOf(1) })
      assert.deepInclude(named("inside")[0], { sampled: false })
    }))

  it.effect("handles it as part of the message's trace, if told to", () =>
    Effect.gen(function*() {
      const { named } = yield* received([tracedMessage(1)], { extra: Tracing.layer({ across: "parent" }) })
      assert.deepInclude(named("process rooms")[0], { sampled: true, parent: idOf(1), links: [[idOf(1), {}]] })
    }))

  for (
    const text of [
      "",
      "nonsense",
      `00-${"0".repeat(32)}-${"b".repeat(16)}-01`,
      `ff-${"a".repeat(32)}-${"b".repeat(16)}-01`
    ]
  ) {
    it.effect(`is linked to nothing by the traceparent "${text}"`, () =>
      Effect.gen(function*() {
        const { named } = yield* received([message({ traceparent: text })])
        assert.deepInclude(named("process rooms")[0], { parent: undefined, links: [] })
      }))
  }

  it.effect("publishes a dead letter in a span that is linked to where the message was made", () =>
    Effect.gen(function*() {
      const { named } = yield* received([tracedMessage(1)], {
        handlers: Subscribers.layer(RoomClosed, { handle: () => Effect.fail("no") }),
        consumer: consumer({ retry: Schedule.stop })
      })
      assert.deepInclude(named("send g.dead-letters")[0], { kind: "client", links: [[idOf(1), {}]] })
    }))
})
