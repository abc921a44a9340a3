/** What the adapter writes itself is what amqplib would have written, byte for byte, in the order in which it was published. */
import { assert, describe, it } from "@effect/vitest"
import type { ConfirmChannel } from "amqplib"
import { Effect, FastCheck as fc } from "effect"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { Duplex } from "node:stream"
import { highWaterMark, publishing } from "../src/internal/confirming.ts"
import { Frames } from "../src/internal/frames.ts"
import type { Properties } from "../src/internal/packet.ts"

const require = createRequire(import.meta.url)

/** amqplib's own, which it does not export. */
const internal = (name: string): unknown => require(join(dirname(require.resolve("amqplib")), "lib", name))
const { Connection } = internal("connection.js") as { readonly Connection: new(socket: Duplex) => AmqplibConnection }
const { ConfirmChannel: AmqplibChannel } = internal("channel_model.js") as {
  readonly ConfirmChannel: new(connection: AmqplibConnection) => AmqplibChannel
}

interface AmqplibConnection {
  frameMax: number
}

interface AmqplibChannel extends ConfirmChannel {
  readonly ch: number
  readonly allocate: () => void
  readonly setOptions: (options: object) => void
  readonly toClosed: () => void
}

const frameMax = 16 * 1024

/** A channel of amqplib before a socket that takes nothing while it is held. */
const open = () => {
  const taken: Array<Buffer> = []
  let held: (() => void) | undefined
  let isHeld = false
  const socket = new Duplex({
    read: () => {},
    write: (some: Buffer, _encoding, done) => {
      taken.push(Buffer.from(some))
      if (isHeld) held = done
      else done()
    }
  })
  const connection = new Connection(socket)
  connection.frameMax = frameMax
  const channel = new AmqplibChannel(connection)
  channel.setOptions({ highWaterMark })
  channel.allocate()
  return {
    channel,
    taken,
    bytes: () => Buffer.concat(taken),
    hold: () => {
      isHeld = true
    },
    letGo: () => {
      isHeld = false
      held?.()
    }
  }
}

/** Until all that was written is at the socket. */
const rest = Effect.promise(async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
})

interface One {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly properties: Properties
}

const theirs = (channel: ConfirmChannel, { content, exchange, properties, routingKey }: One) =>
  channel.publish(exchange, routingKey, content, { ...properties, mandatory: true, persistent: true })

const byAmqplib = (all: ReadonlyArray<One>) =>
  Effect.gen(function*() {
    const { bytes, channel } = open()
    for (const one of all) {
      if (!theirs(channel, one)) yield* rest
    }
    yield* rest
    return bytes()
  })

const text = fc.oneof(
  fc.string({ maxLength: 80 }),
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "é", "a"), maxLength: 80 }),
  fc.constant("é".repeat(127))
)
const short = fc.oneof(fc.string({ maxLength: 255 }), text)
const header = fc.oneof(text, fc.string({ maxLength: 3000 }))
const ordinary = {
  contentType: short,
  contentEncoding: short,
  correlationId: short,
  messageId: short,
  type: short,
  timestamp: fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(2 ** 32, 2 ** 32 - 1)),
  headers: fc.dictionary(short, header, { maxKeys: 12 })
}
const properties: fc.Arbitrary<Properties> = fc.oneof(
  { weight: 3, arbitrary: fc.record(ordinary, { requiredKeys: [] }) },
  fc.record({
    ...ordinary,
    timestamp: fc.constant(2 ** 53),
    priority: fc.nat(9),
    replyTo: short,
    appId: short,
    headers: fc.dictionary(short, fc.oneof(header, fc.constantFrom(7, true, null)), { maxKeys: 12 })
  }, { requiredKeys: [] })
)
const one: fc.Arbitrary<One> = fc.record({
  exchange: short,
  routingKey: short,
  content: fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    // around what a frame holds, and more than that
    fc.integer({ min: frameMax - 10, max: frameMax }).map((length) => new Uint8Array(length).fill(1)),
    fc.constant(new Uint8Array(70_000))
  ).map((array) => Buffer.from(array)),
  properties
})

const plain = (id: string, bytes = 10): One => ({
  exchange: "rooms",
  routingKey: "closed",
  content: Buffer.alloc(bytes, id),
  properties: { messageId: id, headers: { cloudEvents_id: id } }
})

describe("what is published", () => {
  it("is byte for byte what amqplib writes, message by message", () => {
    let taken = 0
    const property = fc.asyncProperty(one, (some) =>
      Effect.runPromise(Effect.gen(function*() {
        const written: Array<Buffer> = []
        const frames = new Frames(1, frameMax, (bytes) => written.push(bytes))
        if (!frames.add(some.exchange, some.routingKey, some.content, some.properties)) return
        frames.flush()
        taken += 1
        assert.isTrue(Buffer.concat(written).equals(yield* byAmqplib([some])))
      })))
    return fc.assert(property, { numRuns: 200 }).then(() => assert.isAbove(taken, 30, "many are not left to amqplib"))
  }, 60_000)

  it("is in order with what is left to amqplib", () =>
    fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 1, maxLength: 60 }), (all) =>
        Effect.runPromise(Effect.gen(function*() {
          const { bytes, channel } = open()
          const publish = publishing(channel, () => {})
          for (const { content, exchange, properties, routingKey } of all) {
            publish({ exchange, routingKey }, content, properties, () => {})
          }
          yield* rest
          assert.isTrue(bytes().equals(yield* byAmqplib(all)))
        }))),
      { numRuns: 30 }
    ), 60_000)

  it.effect("goes to the socket together", () =>
    Effect.gen(function*() {
      const { channel, taken } = open()
      const publish = publishing(channel, () => {})
      const all = Array.from({ length: 100 }, (_, i) => plain(`${i}`))
      for (const { content, properties, ...to } of all) publish(to, content, properties, () => {})
      yield* rest
      assert.strictEqual(taken.length, 1)
      assert.isTrue(taken[0]!.equals(yield* byAmqplib(all)))
    }))

  it.effect("fills one piece of memory after the other, whatever it is made of", () =>
    Effect.gen(function*() {
      const { channel, taken } = open()
      const publish = publishing(channel, () => {})
      const all = Array.from({ length: 200 }, (_, i) => ({
        ...plain(`${i}`),
        properties: { headers: { text: "€".repeat(300 + i) } }
      }))
      for (const { content, properties, ...to } of all) publish(to, content, properties, () => {})
      yield* rest
      assert.isBelow(taken.length, 6)
      assert.isTrue(Buffer.concat(taken).equals(yield* byAmqplib(all)))
    }))

  it.effect("waits when the socket takes no more, and goes on when it does", () =>
    Effect.gen(function*() {
      const { bytes, channel, hold, letGo } = open()
      const all: Array<One> = []
      let drained = 0
      const publish = publishing(channel, () => {
        drained += 1
        // what is published from here is not told of a room that there was not a moment ago
        assert.strictEqual(put("behind"), "ready")
      })
      const put = (id: string) => {
        const next = plain(id, 1000)
        all.push(next)
        return publish(next, next.content, next.properties, () => {})
      }
      hold()
      let count = 0
      while (put(`${count}`) !== "full") assert.isBelow(++count, 5000, "there is an end to what is held in memory")
      yield* rest
      assert.strictEqual(drained, 0)
      letGo()
      yield* rest
      assert.strictEqual(drained, 1)
      assert.isTrue(bytes().equals(yield* byAmqplib(all)))
    }))

  it.effect("is confirmed in turn, whoever has written it", () =>
    Effect.gen(function*() {
      const { channel } = open()
      const publish = publishing(channel, () => {})
      const answers: Array<string> = []
      const large = frameMax * 2
      const put = (id: string, bytes: number) =>
        publish(
          { exchange: "rooms", routingKey: "closed" },
          Buffer.alloc(bytes),
          { messageId: id },
          (isTaken) => answers.push(`${id} ${isTaken}`)
        )
      put("a", 1)
      put("b", large)
      put("c", 1)
      yield* rest
      channel.emit("ack", { deliveryTag: 1, multiple: false })
      channel.emit("nack", { deliveryTag: 2, multiple: false })
      channel.emit("ack", { deliveryTag: 3, multiple: true })
      assert.deepStrictEqual(answers, ["a true", "b false", "c true"])
    }))

  it.effect("is not written to a channel that is closed", () =>
    Effect.gen(function*() {
      const { bytes, channel } = open()
      const publish = publishing(channel, () => {})
      const answers: Array<boolean> = []
      const { content, properties, ...to } = plain("a")
      const put = () => publish(to, content, properties, (isTaken) => answers.push(isTaken))
      put()
      channel.toClosed()
      yield* rest
      put()
      yield* rest
      assert.strictEqual(bytes().length, 0)
      assert.deepStrictEqual(answers, [], "nobody knows what became of it, and the close says so")
    }))

  it.effect("fails as amqplib has it, if it cannot be sent", () =>
    Effect.sync(() => {
      const { channel } = open()
      const publish = publishing(channel, () => {})
      const fault = (routingKey: string, properties: Properties) => {
        const answer = publish({ exchange: "rooms", routingKey }, Buffer.alloc(1), properties, () => {})
        return typeof answer === "string" ? answer : answer.error
      }
      assert.instanceOf(fault("é".repeat(128), {}), TypeError)
      assert.instanceOf(fault("closed", { headers: { ["a".repeat(256)]: "" } }), RangeError)
      assert.instanceOf(fault("closed", { headers: { long: "a".repeat(70_000) } }), RangeError)
    }))
})
