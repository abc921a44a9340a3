/**
 * The promises of brokers, as a suite that every adapter runs.
 *
 * @since 0.1.0
 */
import { Broker, type Delivery, type Source } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { assertMessage, messageOf, texts } from "./Fixtures.ts"
import { assertIds, assertOrder, casesOf } from "./internal/cases.ts"
import type { Proxy } from "./Proxy.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of a broker. `R` is what the features need, as an admin client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** A broker for a case of this name. */
  readonly layer: (name: string) => Layer.Layer<Broker | R, unknown>
  /** Makes a topic of this name that did not exist before, empty and ready, and answers with what it is called. */
  readonly topic: (name: string) => Effect.Effect<string, unknown, Broker | R>
  /** Members of a group that take at the same time handle each key in order. */
  readonly ordered: Feature<true>
  /** The broker knows whether it has handed out a message before. */
  readonly countsRedeliveries: Feature<true>
  /** The broker with room for so many unsettled messages in a group, which refuses more. */
  readonly capacity: Feature<(name: string, capacity: number) => Layer.Layer<Broker | R, unknown>>
  /**
   * A server of its own that can be stopped and started again: what it had said is delivered is still there. Clients are
   * left alone by it. Its layer's features make topics on that server.
   */
  readonly restart: Feature<
    (name: string) => Effect.Effect<
      { readonly layer: Layer.Layer<Broker | R, unknown>; readonly restart: Effect.Effect<unknown, unknown> },
      unknown,
      Scope.Scope
    >
  >
  /**
   * The broker through a proxy that the suite cuts and stalls. Its features (`R`) go past the proxy. What it does against
   * dead connections (heartbeats, timeouts) should be set to a second or two, since the cases wait for it.
   */
  readonly network: Feature<
    (name: string) => Effect.Effect<
      { readonly layer: Layer.Layer<Broker | R, unknown>; readonly proxy: Proxy },
      unknown,
      Scope.Scope
    >
  >
  /** Takes away what messages of a topic need to arrive (the topic itself, or its bindings), and brings it back. */
  readonly destination: Feature<{
    /** Returns when nothing more arrives. */
    readonly remove: (topic: string) => Effect.Effect<unknown, unknown, Broker | R>
    readonly restore: (topic: string) => Effect.Effect<unknown, unknown, Broker | R>
    /** What had been delivered and not consumed before is still there afterwards. */
    readonly keepsMessages: boolean
  }>
  /** How another program writes and reads, with the protocol's own means and none of this toolkit's. */
  readonly foreign: Feature<{
    /** What the protocol binding of CloudEvents puts before the names of attributes. */
    readonly prefix: string
    readonly publish: (record: Foreign) => Effect.Effect<unknown, unknown, Broker | R>
    /** Begins to read a topic. The effect that it answers with waits for the next record since then. */
    readonly read: (
      topic: string
    ) => Effect.Effect<Effect.Effect<Foreign, unknown>, unknown, Broker | R | Scope.Scope>
  }>
  /** Records can come without a body, which is not the same as an empty one. */
  readonly tombstones: Feature<true>
  /**
   * A member holds no more unsettled messages than its subscription's `window`, and `beyond` more at the most: what the
   * broker had sent with one answer, where messages have a payload of 1 KiB.
   */
  readonly window: Feature<{ readonly beyond: number }>
  /** Makes of a message one of the same id, topic and key that the broker itself refuses, as by its size. */
  readonly refused: Feature<(message: Message) => Message>
  /** The largest payload to try, in bytes. */
  readonly largestPayload: number
  /** After so long without a message, none will come. Default: 100 milliseconds. */
  readonly quiet?: Duration.DurationInput | undefined
  /** What should come comes within this. Default: 10 seconds. */
  readonly patience?: Duration.DurationInput | undefined
  /** How long a case may take, in milliseconds. Default: 60,000. */
  readonly timeout?: number | undefined
}

/**
 * A record as the protocol has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Foreign {
  readonly topic: string
  readonly key: string | undefined
  /** Where the protocol tells text from bytes, strings are text. */
  readonly headers: Readonly<Record<string, string | Uint8Array>>
  /** The content type, in the place that the protocol has for it. */
  readonly contentType?: string | undefined
  /** `undefined` for a tombstone. */
  readonly body: Uint8Array | undefined
}

/**
 * Runs the suite: each case with topics and groups of its own, so that they may run side by side (`describe.concurrent`).
 *
 * @example
 * ```ts
 * import { Broker } from "@effect-cqrs/core"
 * import { BrokerSuite, Suite } from "@effect-cqrs/testing"
 * import { Effect } from "effect"
 *
 * export const memory = (runner: Suite.Runner) =>
 *   BrokerSuite.suite("memory", {
 *     ...runner,
 *     layer: () => Broker.layerMemory(),
 *     topic: Effect.succeed,
 *     ordered: true,
 *     countsRedeliveries: true,
 *     capacity: (_name, capacity) => Broker.layerMemory({ capacity }),
 *     restart: Suite.unsupported("it forgets everything with the process"),
 *     network: Suite.unsupported("it has no connections"),
 *     destination: Suite.unsupported("its topics are always there"),
 *     foreign: Suite.unsupported("no other program gets at it"),
 *     tombstones: Suite.unsupported("its messages have a payload"),
 *     window: Suite.unsupported("it holds all messages itself"),
 *     refused: Suite.unsupported("it takes every message"),
 *     largestPayload: 1024 * 1024
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const quiet = Duration.decode(facts.quiet ?? "100 millis")
  const patience = Duration.decode(facts.patience ?? "10 seconds")
  const cases = casesOf(facts, { timeout: facts.timeout ?? 60_000 })

  type Test = (topic: string, group: string) => Effect.Effect<void, unknown, Broker | R | Scope.Scope>
  const within = (id: string, layer: Layer.Layer<Broker | R, unknown>, test: Test) =>
    Effect.provide(Effect.flatMap(facts.topic(id), (topic) => test(topic, `${id}_group`)), layer)
  const it = (name: string, test: Test) => cases.it(name, (id) => within(id, facts.layer(id), test))
  const itWith = <A>(feature: Feature<A>, name: string, test: (feature: A) => Test) =>
    cases.itWith(feature, name, (id, feature) => within(id, facts.layer(id), test(feature)))

  const next = (source: Source): Effect.Effect<Delivery, unknown, Scope.Scope> =>
    Effect.timeoutFail(source.take, {
      duration: patience,
      onTimeout: () => new Cause.TimeoutException(`no message came within ${Duration.format(patience)}`)
    })

  /** Takes one, and settles it. */
  const one = (source: Source) => Effect.scoped(next(source))

  const some = (source: Source, count: number) =>
    Effect.map(
      Effect.forEach(Array.from({ length: count }), () => one(source)),
      (deliveries) => deliveries.map((delivery) => delivery.message)
    )

  /** Takes one whose scope stays open, to be closed with an exit. */
  const hold = (source: Source) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const delivery = yield* Scope.extend(next(source), scope)
      return { ...delivery, settle: Scope.close(scope, Exit.void), fail: Scope.close(scope, Exit.fail("no")) }
    })

  const assertQuiet = (source: Source) =>
    Effect.flatMap(
      Effect.exit(
        Effect.scoped(Effect.flatMap(source.take, (delivery) => Effect.fail(delivery))).pipe(
          Effect.timeoutOption(quiet)
        )
      ),
      (exit) =>
        Exit.isSuccess(exit) && Option.isNone(exit.value)
          ? Effect.void
          : Effect.sync(() => assert.fail(`nothing should come: ${String(exit)}`))
    )

  /** Takes with several fibers until so many are handled; fails if a key is handled twice at a time. */
  const compete = (sources: ReadonlyArray<Source>, count: number) =>
    Effect.gen(function*() {
      const handled: Array<Message> = []
      const by: Array<number> = []
      const out = new Set<string>()
      const all = yield* Deferred.make<void, unknown>()
      const fibers = yield* Effect.forEach(sources, (source, n) =>
        Effect.forkScoped(Effect.forever(Effect.scoped(Effect.gen(function*() {
          const { message } = yield* source.take
          const lane = `${message.topic} ${message.key}`
          if (message.key !== undefined) {
            if (out.has(lane)) {
              yield* Deferred.fail(all, new Error(`two of the key ${lane} are out`))
            }
            out.add(lane)
          }
          for (let i = 0; i < handled.length % 4; i++) {
            yield* Effect.yieldNow()
          }
          out.delete(lane)
          handled.push(message)
          by.push(n)
          if (handled.length === count) {
            yield* Deferred.succeed(all, undefined)
          }
        })))))
      yield* Effect.timeoutFail(Deferred.await(all), {
        duration: Duration.times(patience, 3),
        onTimeout: () =>
          new Error(`${handled.length} of ${count} came`)
      })
      // more than there should be would come now
      yield* Effect.sleep(quiet)
      yield* Fiber.interruptAll(fibers)
      return { handled, by }
    })

  facts.describe(`${name}: broker`, () => {
    facts.describe("publish and consume", () => {
      it("brings every attribute of a message, and those it does not have", (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const full = messageOf({
            id: "0190a0b0-0000-7000-8000-000000000001",
            name: "room_closed",
            kind: "ecst",
            version: 7,
            topic,
            key: "blue",
            source: "/rooms?a=b#c",
            time: 1_700_000_000_123,
            correlationId: "correlation",
            causationId: "causation",
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            sequence: 9_007_199_254_740_993n,
            contentType: "application/json",
            contentEncoding: "gzip",
            headers: { tenant: "acme", empty: "" }
          })
          yield* publish([full])
          assertMessage((yield* one(source)).message, full)
          // the empty key is a key
          const empty = messageOf({ topic, key: "" })
          yield* publish([empty])
          assertMessage((yield* one(source)).message, empty)
          const bare = messageOf({ topic, key: undefined, time: 0 })
          yield* publish([bare])
          const delivery = yield* one(source)
          assertMessage(delivery.message, bare)
        }))

      it("brings text of any script in keys, attributes and headers", (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = texts.map((text) =>
            messageOf({
              topic,
              key: text,
              name: text,
              source: text,
              correlationId: text,
              headers: { text, [text]: "x" }
            })
          )
          yield* publish(sent)
          const received = new Map((yield* some(source, sent.length)).map((message) => [message.id, message]))
          assertIds("messages", [...received.keys()], idsOf(sent))
          for (const message of sent) assertMessage(received.get(message.id)!, message)
        }))

      it("brings payloads of any bytes and sizes", (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const all = Uint8Array.from({ length: 256 }, (_, n) => n)
          const sent = [
            new Uint8Array(0),
            all,
            all.subarray(10, 20),
            Uint8Array.from({ length: facts.largestPayload }, (_, n) => (n * 31 + (n >> 8)) & 255)
          ].map((payload) => messageOf({ topic, payload }))
          for (const message of sent) {
            yield* publish([message])
            assertMessage((yield* one(source)).message, message)
          }
        }))

      it("answers a batch with as many outcomes, in its order", (topic, group) =>
        Effect.gen(function*() {
          const broker = yield* Broker
          const source = yield* consume([topic], group)
          assert.deepStrictEqual(yield* broker.publish([]), [])
          const batch = Array.from({ length: 200 }, (_, n) =>
            messageOf({ topic, key: n % 3 === 0 ? undefined : `key ${n % 20}` }))
          const outcomes = yield* broker.publish(batch)
          assert.deepStrictEqual(
            outcomes.map((outcome) =>
              outcome._tag
            ),
            batch.map(() => "Delivered")
          )
          assertIds("messages", idsOf(yield* some(source, batch.length)), idsOf(batch))
          yield* assertQuiet(source)
        }))

      it(
        "brings a batch of several topics to those who want them, and no other",
        (topic, group) =>
          Effect.gen(function*() {
            const other = yield* facts.topic(`${topic}_other`)
            const third = yield* facts.topic(`${topic}_third`)
            const both = yield* consume([topic, other], `${group}_both`)
            const single = yield* consume([other], `${group}_single`)
            const batch = Array.from(
              { length: 30 },
              (_, n) => messageOf({ topic: [topic, other, third][n % 3]!, key: `${n}` })
            )
            yield* publish(batch.filter((message) => message.topic !== third))
            assertIds(
              "of both",
              idsOf(yield* some(both, 20)),
              idsOf(batch.filter((message) => message.topic !== third))
            )
            assertIds(
              "of one",
              idsOf(yield* some(single, 10)),
              idsOf(batch.filter((message) => message.topic === other))
            )
            yield* assertQuiet(both)
            yield* assertQuiet(single)
          })
      )
    })

    facts.describe("groups", () => {
      it("each group gets all messages", (topic, group) =>
        Effect.gen(function*() {
          const sources = yield* Effect.forEach([1, 2, 3], (n) => consume([topic], `${group}_${n}`))
          const sent = Array.from({ length: 20 }, (_, n) => messageOf({ topic, key: `${n % 5}` }))
          yield* publish(sent)
          for (const source of sources) assertIds("messages", idsOf(yield* some(source, 20)), idsOf(sent))
          for (const source of sources) yield* assertQuiet(source)
        }))

      it("the members of a group share them, each message once", (topic, group) =>
        Effect.gen(function*() {
          const sources = yield* Effect.forEach([1, 2, 3], () => consume([topic], group))
          const sent = Array.from({ length: 300 }, (_, n) => messageOf({ topic, key: `${n % 30}` }))
          yield* publish(sent)
          const { handled } = yield* compete(sources, sent.length)
          assertIds("messages", idsOf(handled), idsOf(sent))
        }))

      it("what is settled does not come again to a member that joins later", (topic, group) =>
        Effect.gen(function*() {
          const [first, second] = [messageOf({ topic }), messageOf({ topic })]
          yield* Effect.scoped(Effect.gen(function*() {
            const source = yield* consume([topic], group)
            yield* publish([first])
            assert.strictEqual((yield* one(source)).message.id, first.id)
          }))
          const source = yield* consume([topic], group)
          yield* publish([second])
          assert.strictEqual((yield* one(source)).message.id, second.id)
          yield* assertQuiet(source)
        }))

      it("what is published while no member is there waits for the next", (topic, group) =>
        Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            const source = yield* consume([topic], group)
            yield* publish([messageOf({ topic })])
            yield* one(source)
          }))
          const sent = Array.from({ length: 5 }, () => messageOf({ topic }))
          yield* publish(sent)
          const source = yield* consume([topic], group)
          assertOrder("messages", idsOf(yield* some(source, 5)), idsOf(sent))
        }))

      it("what a member that leaves has not settled is handed to another", (topic, group) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const leaving = yield* Scope.extend(consume([topic], group), scope)
          const sent = [messageOf({ topic }), messageOf({ topic })]
          yield* publish(sent)
          const held = yield* hold(leaving)
          assert.strictEqual(held.message.id, sent[0]!.id)
          const staying = yield* consume([topic], group)
          yield* Scope.close(scope, Exit.void)
          const again = yield* hold(staying)
          assert.strictEqual(again.message.id, sent[0]!.id)
          // it is no longer its to settle
          yield* held.settle
          yield* again.settle
          assertOrder("messages", idsOf(yield* some(staying, 1)), [sent[1]!.id])
          yield* assertQuiet(staying)
        }))
    })

    facts.describe("order", () => {
      it(
        "a key's messages come in the order of their publishing, in one batch or in many",
        (topic, group) =>
          Effect.gen(function*() {
            const source = yield* consume([topic], group)
            const sent = Array.from({ length: 100 }, (_, n) => messageOf({ topic, key: `key ${n % 7}` }))
            yield* publish(sent.slice(0, 60))
            for (const message of sent.slice(60)) yield* publish([message])
            const received = yield* some(source, sent.length)
            for (let n = 0; n < 7; n++) {
              const ofKey = (messages: ReadonlyArray<Message>) =>
                idsOf(messages.filter((one) => one.key === `key ${n}`))
              assertOrder(`key ${n}`, ofKey(received), ofKey(sent))
            }
          })
      )

      itWith(
        facts.ordered,
        "several takers handle each key in order, one at a time",
        () => (topic, group) =>
          Effect.gen(function*() {
            const members = yield* Effect.forEach([1, 2], () => consume([topic], group))
            const takers = members.flatMap((source) => [source, source, source])
            const sent = Array.from({ length: 500 }, (_, n) => messageOf({ topic, key: `key ${n % 11}` }))
            for (let at = 0; at < sent.length; at += 50) yield* publish(sent.slice(at, at + 50))
            const { handled } = yield* compete(takers, sent.length)
            assertIds("messages", idsOf(handled), idsOf(sent))
            for (let n = 0; n < 11; n++) {
              const ofKey = (messages: ReadonlyArray<Message>) =>
                idsOf(messages.filter((one) => one.key === `key ${n}`))
              assertOrder(`key ${n}`, ofKey(handled), ofKey(sent))
            }
          })
      )

      itWith(
        facts.ordered,
        "while one of a key is out, the next one waits, and other keys go on",
        () => (topic, group) =>
          Effect.gen(function*() {
            const source = yield* consume([topic], group)
            const [a1, a2, b1, b2] = ["a", "a", "b", "b"].map((key) => messageOf({ topic, key }))
            yield* publish([a1!, a2!, b1!, b2!])
            const first = yield* hold(source)
            const second = yield* hold(source)
            assertIds("out", [first.message.id, second.message.id], [a1!.id, b1!.id])
            yield* assertQuiet(source)
            yield* second.settle
            const third = yield* hold(source)
            assert.strictEqual(third.message.key, second.message.key)
            yield* assertQuiet(source)
            yield* third.settle
            yield* first.settle
            const last = yield* one(source)
            assert.strictEqual(last.message.key, first.message.key)
            yield* assertQuiet(source)
          })
      )

      itWith(facts.ordered, "messages without a key wait for nobody", () => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 4 }, () => messageOf({ topic, key: undefined }))
          yield* publish(sent)
          const held = yield* Effect.forEach(sent, () => hold(source))
          assertIds("out", held.map((one) => one.message.id), idsOf(sent))
          for (const one of held) yield* one.settle
          yield* assertQuiet(source)
        }))
    })

    facts.describe("the scope is the acknowledgement", () => {
      it(
        "a message whose scope failed comes again, before later ones of its key",
        (topic, group) =>
          Effect.gen(function*() {
            const source = yield* consume([topic], group)
            const sent = Array.from({ length: 3 }, () => messageOf({ topic, key: "one" }))
            yield* publish(sent)
            const seen: Array<string> = []
            for (let attempt = 0; attempt < 3; attempt++) {
              const held = yield* hold(source)
              seen.push(held.message.id)
              yield* held.fail
            }
            assertOrder("attempts", seen, [sent[0]!.id, sent[0]!.id, sent[0]!.id])
            assertOrder("messages", idsOf(yield* some(source, 3)), idsOf(sent))
            yield* assertQuiet(source)
          })
      )

      it("a redelivered message is the same", (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const message = messageOf({ topic, headers: { tenant: "ä" }, payload: Uint8Array.of(0, 255, 128) })
          yield* publish([message])
          const held = yield* hold(source)
          yield* held.fail
          assertMessage((yield* one(source)).message, message)
        }))

      itWith(facts.countsRedeliveries, "a redelivered message says so", () => (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          yield* publish([messageOf({ topic })])
          const first = yield* hold(source)
          assert.strictEqual(first.redeliveries, 0)
          yield* first.fail
          const second = yield* hold(source)
          assert.ok(second.redeliveries >= 1, `redeliveries: ${second.redeliveries}`)
          yield* second.fail
          const third = yield* one(source)
          assert.ok(third.redeliveries >= second.redeliveries, `redeliveries: ${third.redeliveries}`)
        }))

      it(
        "a handler that fails, dies or is interrupted leaves its message to be handled again",
        (topic, group) =>
          Effect.gen(function*() {
            const source = yield* consume([topic], group)
            const sent = [messageOf({ topic, key: "one" }), messageOf({ topic, key: "one" })]
            yield* publish(sent)
            const seen: Array<string> = []
            const handle = (ending: Effect.Effect<unknown, unknown>) =>
              Effect.exit(Effect.scoped(Effect.flatMap(next(source), ({ message }) => {
                seen.push(message.id)
                return ending
              })))
            yield* handle(Effect.fail("no"))
            yield* handle(Effect.die("boom"))
            const begun = yield* Deferred.make<void>()
            const fiber = yield* Effect.fork(handle(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)))
            yield* Deferred.await(begun)
            yield* Fiber.interrupt(fiber)
            yield* handle(Effect.void)
            yield* handle(Effect.void)
            const [first, second] = idsOf(sent)
            assertOrder("attempts", seen, [first!, first!, first!, first!, second!])
            yield* assertQuiet(source)
          })
      )

      it("one that is failed holds up no other key", (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          const sent = Array.from({ length: 20 }, (_, n) =>
            messageOf({ topic, key: n % 10 === 0 ? "bad" : `key ${n % 10}` }))
          yield* publish(sent)
          const handled: Array<string> = []
          let attempts = 0
          const good = sent.filter((message) =>
            message.key !== "bad"
          )
          while (handled.length < good.length && attempts < 1000) {
            attempts += 1
            yield* Effect.exit(Effect.scoped(Effect.flatMap(next(source), ({ message }) => {
              if (message.key === "bad") return Effect.fail("no")
              handled.push(message.id)
              return Effect.void
            })))
          }
          assertIds("messages", handled, idsOf(good))
          assertOrder("the bad ones", idsOf(yield* some(source, 2)), idsOf([sent[0]!, sent[10]!]))
        }))

      it("an interrupted take loses nothing, whenever it is interrupted", (topic, group) =>
        Effect.gen(function*() {
          const source = yield* consume([topic], group)
          let handled: ReadonlyArray<string> = []
          const handle = (take: Source["take"]) =>
            Effect.scoped(Effect.map(take, ({ message }) => {
              handled = [...handled, message.id]
            }))
          for (let round = 0; round < 60; round++) {
            handled = []
            const taker = yield* Effect.fork(handle(source.take))
            for (let i = 0; i < 10 * (round % 4); i++) yield* Effect.yieldNow()
            const message = messageOf({ topic, key: round % 2 === 0 ? undefined : `key ${round % 6}` })
            // the interruption comes in the same moment as the message, or shortly after it
            yield* publish([message])
            for (let i = 0; i < round % 5; i++) yield* Effect.yieldNow()
            yield* Fiber.interrupt(taker)
            if (handled.length === 0) yield* Effect.timeoutOption(handle(source.take), patience)
            assertIds(`round ${round}`, handled, [message.id])
          }
          yield* assertQuiet(source)
        }))
    })

    facts.describe("limits", () => {
      cases.itWith(
        facts.capacity,
        "a group that is full holds publishing back, and no message overtakes",
        (id, capacity) =>
          within(id, capacity(id, 3), (topic, group) =>
            Effect.gen(function*() {
              const broker = yield* Broker
              const source = yield* consume([topic], group)
              const sent = ["a", "b", "a", "a", "b", "c"].map((key) => messageOf({ topic, key }))
              const first = yield* broker.publish(sent)
              assert.deepStrictEqual(first.map((outcome) => outcome._tag), [
                "Delivered",
                "Delivered",
                "Delivered",
                "Retriable",
                "Retriable",
                "Retriable"
              ])
              const held = yield* hold(source)
              // one that is out is still unsettled
              const second = yield* broker.publish([sent[3]!])
              assert.strictEqual(second[0]!._tag, "Retriable")
              yield* held.settle
              const third = yield* broker.publish(sent.slice(3))
              assert.deepStrictEqual(third.map((outcome) => outcome._tag), ["Delivered", "Retriable", "Retriable"])
              const handled = [held.message, ...(yield* some(source, 3))]
              assertOrder(
                "key a",
                idsOf(handled.filter((one) => one.key === "a")),
                idsOf([sent[0]!, sent[2]!, sent[3]!])
              )
              yield* publish(sent.slice(4))
              assertIds("messages", idsOf(yield* some(source, 2)), idsOf(sent.slice(4)))
              yield* assertQuiet(source)
            }))
      )

      cases.itWith(
        facts.restart,
        "what was delivered survives a restart of the broker",
        (id, server) =>
          Effect.flatMap(
            server(id),
            ({ layer, restart }) =>
              within(id, layer, (topic, group) =>
                Effect.gen(function*() {
                  yield* Effect.scoped(
                    Effect.flatMap(consume([topic], group), (source) =>
                      Effect.zipRight(publish([messageOf({ topic })]), one(source)))
                  )
                  const sent = Array.from({ length: 10 }, (_, n) =>
                    messageOf({ topic, key: `key ${n % 3}` }))
                  yield* publish(sent)
                  yield* restart
                  const source = yield* consume([topic], group)
                  assertIds("messages", idsOf(yield* some(source, sent.length)), idsOf(sent))
                }))
          )
      )
    })
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const consume = (topics: ReadonlyArray<string>, group: string) =>
  Effect.flatMap(Broker, (broker) => broker.consume({ topics, group }))

/** Publishes what the broker must take. */
const publish = (batch: ReadonlyArray<Message>) =>
  Effect.flatMap(Broker, (broker) =>
    Effect.map(broker.publish(batch), (outcomes) => {
      assert.deepStrictEqual(outcomes, batch.map(() => ({ _tag: "Delivered" })))
    }))

const idsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map((message) => message.id)
