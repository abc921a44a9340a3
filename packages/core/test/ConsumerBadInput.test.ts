import { Broker, Consumer, type Message, Metrics, Serialization, Subscribers } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { gzipSync } from "node:zlib"
import { message, quiet, received, RoomClosed, settled } from "./fixtures.ts"

const payload = (n: number) => new TextEncoder().encode(JSON.stringify({ room: "blue", n }))
const closed = (n: number, given: Partial<Message.Message> = {}) =>
  message({ id: String(n), payload: payload(n), ...given })

/** Publishes, lets a consumer go over it, and answers what it has handled and what is dead. */
const consumed = (
  messages: ReadonlyArray<Message.Message>,
  deadLetter: Consumer.DeadLetterOptions = {},
  group = "g"
) =>
  Effect.scoped(Effect.gen(function*() {
    const broker = yield* Broker.Broker
    const handled: Array<number> = []
    yield* Layer.build(
      Consumer.layer({ subscription: { group }, events: [RoomClosed], deadLetter }).pipe(
        Layer.provide(Subscribers.layer(RoomClosed, { h: ({ n }) => Effect.sync(() => void handled.push(n)) }))
      )
    )
    yield* broker.publish(messages)
    const letters: Array<Message.Message> = []
    const last = Number(messages.at(-1)!.id)
    // zlib answers from a thread of its own
    yield* Effect.repeat(
      Effect.zipRight(Effect.promise(() => new Promise((resolve) => setImmediate(resolve))), settled),
      { while: () => !handled.includes(last), times: 10_000 }
    )
    const topic = `${group}.dead-letters`
    yield* broker.sift({ topic, group: topic }, ({ message }) => {
      letters.push(message)
      return Effect.succeed("kept")
    })
    return { handled, letters }
  }))

const reasons = (letters: ReadonlyArray<Message.Message>) =>
  letters.map(({ headers }) => headers[Consumer.deadLetterHeaders.reason]!)

describe("bad input is a dead letter with a sentence, and the consumer goes on", () => {
  it.effect("a body that is corrupt, a bomb, of an unknown encoding or content type, or of another schema", () =>
    Effect.gen(function*() {
      const { handled, letters } = yield* consumed([
        closed(1, { contentEncoding: "gzip" }),
        closed(2, { contentEncoding: "gzip", payload: gzipSync(new Uint8Array(10_000)) }),
        closed(3, { contentEncoding: "lzma" }),
        closed(4, { contentType: "application/x-other" }),
        closed(5, { payload: new TextEncoder().encode("{\"room\":1}") }),
        closed(6, { name: "room_painted" }),
        closed(7)
      ])
      assert.deepStrictEqual(handled, [7])
      const expected = [
        /gzip/,
        /larger than the limit of 1000 bytes/,
        /lzma/,
        /x-other/,
        /does not fit/,
        /room_painted/
      ]
      const texts = reasons(letters)
      assert.strictEqual(texts.length, expected.length)
      for (const [n, pattern] of expected.entries()) assert.match(texts[n]!, pattern)
    }).pipe(
      Effect.provide(Layer.mergeAll(Broker.layerMemory(), quiet, Serialization.layer({ maxDecompressedBytes: 1000 })))
    ))

  it.effect("what the adapter cannot read", () =>
    Effect.gen(function*() {
      const { handled, letters } = yield* consumed([closed(1), closed(2)])
      assert.deepStrictEqual(handled, [2])
      assert.deepStrictEqual(reasons(letters), ["Not a CloudEvent"])
    }).pipe(
      Effect.provide(Layer.merge(received((id) => id === "1" ? { unreadable: "Not a CloudEvent" } : {}), quiet))
    ))

  it.effect("headers with hostile names come through, and those of a dead letter are the consumer's", () =>
    Effect.gen(function*() {
      const headers = JSON.parse(
        "{\"__proto__\":\"a\",\"constructor\":\"b\",\"dead-letter-group\":\"another\",\"ÿ\\n\":\"c\"}"
      )
      const { letters } = yield* consumed([closed(1, { headers, name: "__proto__" }), closed(2)])
      const [letter] = letters
      assert.strictEqual(Object.getOwnPropertyDescriptor(letter!.headers, "__proto__")?.value, "a")
      assert.strictEqual(letter!.headers.constructor as unknown, "b")
      assert.strictEqual(letter!.headers["ÿ\n"], "c")
      assert.strictEqual(letter!.headers[Consumer.deadLetterHeaders.group], "g")
    }).pipe(Effect.provide(Layer.merge(Broker.layerMemory(), quiet))))

  it.effect("a reason is cut, on one line, and not in the middle of a character", () =>
    Effect.gen(function*() {
      const { letters } = yield* consumed([closed(1, { name: `a\r\nb${"😀".repeat(1000)}` }), closed(2)])
      const [reason] = reasons(letters)
      assert.isAtMost(reason!.length, 500)
      assert.include(reason, "a b😀")
      // eslint-disable-next-line no-control-regex -- they would begin another header
      assert.notMatch(reason!, /[\u0000-\u001f]|[\ud800-\udbff](?![\udc00-\udfff])/)
    }).pipe(Effect.provide(Layer.merge(Broker.layerMemory(), quiet))))
})

describe("tombstones", () => {
  const Tombstone = Layer.merge(received((id) => id === "1" ? { isTombstone: true } : {}), quiet)

  it.effect("are dead letters", () =>
    Effect.gen(function*() {
      const { handled, letters } = yield* consumed([closed(1), closed(2)])
      assert.deepStrictEqual(handled, [2])
      assert.include(reasons(letters)[0], "tombstone")
    }).pipe(Effect.provide(Tombstone)))

  it.effect("are ignored where the consumer says so", () =>
    Effect.gen(function*() {
      const { handled, letters } = yield* consumed([closed(1), closed(2)], { tombstones: "ignore" })
      assert.deepStrictEqual(handled, [2])
      assert.deepStrictEqual(letters, [])
    }).pipe(Effect.provide(Tombstone)))
})

describe("metrics", () => {
  it.effect("count what becomes of messages, and have no names from outside in their labels", () =>
    Effect.gen(function*() {
      const group = "a counted group"
      yield* consumed(
        [
          closed(1),
          closed(2, { payload: new Uint8Array([0xff]) }),
          closed(3, { headers: { [Consumer.redrivenFor]: "another" } }),
          closed(4, { name: "whatever" }),
          closed(5)
        ],
        { unknown: "ignore" },
        group
      )
      const count = (metric: Metric.Metric.Counter<number>, event: string, label: string, value: string) =>
        metric.pipe(
          Metric.tagged("group", group),
          Metric.tagged("event", event),
          Metric.tagged(label, value),
          Metric.value,
          Effect.map((state) => state.count)
        )
      assert.strictEqual(yield* count(Metrics.consumerHandled, "room_closed", "outcome", "success"), 2)
      assert.strictEqual(yield* count(Metrics.consumerHandled, "room_closed", "outcome", "dead"), 1)
      assert.strictEqual(yield* count(Metrics.consumerDead, "room_closed", "reason", "undecodable"), 1)
      assert.strictEqual(yield* count(Metrics.consumerIgnored, "room_closed", "reason", "redriven"), 1)
      assert.strictEqual(yield* count(Metrics.consumerIgnored, "(unknown)", "reason", "unknown"), 1)
    }).pipe(Effect.provide(Layer.merge(Broker.layerMemory(), quiet))))
})

describe("options that cannot be", () => {
  it.effect("are refused with a sentence that names them", () =>
    Effect.gen(function*() {
      const refused = (options: object) =>
        Effect.flip(Effect.scoped(Layer.build(
          Consumer.layer({ subscription: { group: "g" }, events: [RoomClosed], ...options }).pipe(
            Layer.provide(Subscribers.layer(RoomClosed, { h: () => Effect.void }))
          )
        )))
      for (
        const [options, pattern] of [
          [{ subscription: { group: "" } }, /group/],
          [{ subscription: { group: "g", window: 1 }, concurrency: 2 }, /window .* from 2/],
          [{ subscription: { group: "g", ordering: "some" } }, /ordering .* partitioned/],
          [{ subscription: { group: "g", topics: [] } }, /topics/],
          [{ subscription: { group: "g", topics: ["g.dead-letters"] } }, /its own dead letters/],
          [{ deadLetter: { topic: "rooms" } }, /its own dead letters/],
          [{ deadLetter: { topic: " " } }, /dead letter topic/],
          [{ deadLetter: { unknown: "drop" } }, /deadLetter.unknown/],
          [{ deadLetter: { tombstones: "drop" } }, /deadLetter.tombstones/],
          [{ batch: { size: 2 } }, /no inbox/],
          [{ batch: { size: 0 }, inbox: true }, /batch size/]
        ] as const
      ) {
        const error = yield* refused(options)
        assert.deepInclude(error, { _tag: "BrokerError", reason: "Configuration" })
        assert.match((error as Broker.BrokerError).message, pattern)
      }
    }).pipe(Effect.provide(Broker.layerMemory())))
})
