/** What the server itself withholds. Cut and half-open connections, restarts and removed exchanges are the suite's. */
import { AmqpBroker } from "@effect-cqrs/amqp"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { afterAll, assert, describe, it, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, Redacted } from "effect"
import { available, isHere, type Node, own, ownWith } from "./support/node.ts"
import { Admin, admin, cleanUp, endpoint, publish, shortOf, topicOf } from "./support/rabbitmq.ts"

const { messageOf } = Fixtures

const quiet = Logger.remove(Logger.defaultLogger)

class Own extends Context.Tag("test/Own")<Own, Node>() {}

const maxMessageSize = 64 * 1024

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  afterAll(() => cleanUp(url))

  const full = { "x-max-length": 2, "x-overflow": "reject-publish" }
  const shared = (options: Partial<AmqpBroker.Options> = {}) =>
    Layer.mergeAll(AmqpBroker.layer({ url, ...options }), Layer.scoped(Admin, admin(url)), quiet)

  it.scopedLive(
    "a queue that is full refuses: nothing of a key overtakes what was refused",
    () =>
      Effect.gen(function*() {
        const { use } = yield* Admin
        const topic = yield* topicOf("full")
        yield* use(async (channel) => {
          await channel.deleteQueue(topic)
          await channel.assertQueue(topic, { durable: true, arguments: full })
          await channel.bindQueue(topic, topic, "#")
        })
        const sent = Array.from({ length: 6 }, () => messageOf({ topic, key: "blue" }))
        const outcomes = shortOf(yield* publish(...sent))
        const taken = outcomes.filter((outcome) => outcome === "Delivered").length
        // a classic queue may take one or two more than it should
        assert.isAtLeast(taken, 2)
        assert.isBelow(taken, 6)
        assert.deepStrictEqual(outcomes, sent.map((_, n) => n < taken ? "Delivered" : "destination"))
        assert.strictEqual((yield* use((channel) => channel.checkQueue(topic))).messageCount, taken)
        yield* use((channel) => channel.purgeQueue(topic))
        assert.deepStrictEqual(shortOf(yield* publish(sent[taken]!)), ["Delivered"])
      }).pipe(Effect.provide(shared())),
    20_000
  )

  it.scopedLive(
    "what is pipelined and overtakes a refused one of its key comes again, so that the last stays the last",
    () =>
      Effect.gen(function*() {
        const { forget, use } = yield* Admin
        const topic = yield* topicOf("overtaking")
        const narrow = `${topic}.narrow`
        forget("queue", narrow)
        yield* use(async (channel) => {
          await channel.unbindQueue(topic, topic, "#")
          await channel.bindQueue(topic, topic, "wide")
          await channel.assertQueue(narrow, { durable: true, arguments: { ...full, "x-max-length": 0 } })
          await channel.bindQueue(narrow, topic, "narrow")
        })
        const names = ["wide", "narrow", "wide", "wide"]
        const outcomes = yield* publish(
          ...names.map((name) => messageOf({ topic, key: "blue", name })),
          messageOf({ topic, key: "red", name: "wide" })
        )
        assert.strictEqual((yield* use((channel) => channel.checkQueue(topic))).messageCount, 4)
        assert.deepStrictEqual(shortOf(outcomes), [
          "Delivered",
          "destination",
          "destination",
          "destination",
          "Delivered"
        ])
      }).pipe(Effect.provide(shared({ order: "pipelined" }))),
    20_000
  )

  const node = available(own)
  if (!isHere(node)) {
    it.skip(`a node of its own (${node.reason})`, () => {})
    return
  }

  layer(
    Layer.scoped(Own, ownWith(`max_message_size = ${maxMessageSize}\n`)),
    { excludeTestServices: true, timeout: Duration.seconds(60) }
  )("a node of its own", (it) => {
    const ownAdmin = Layer.unwrapScoped(Effect.map(Own, (node) => Layer.scoped(Admin, admin(node.url))))
    const onOwn = (options: Partial<AmqpBroker.Options> = {}) =>
      Layer.mergeAll(
        Layer.unwrapScoped(Effect.map(Own, (node) => AmqpBroker.layer({ url: node.url, ...options }))),
        ownAdmin,
        quiet
      )

    it.scoped(
      "that is low on memory holds publishers back, whose connections stay, until it is not",
      () =>
        Effect.gen(function*() {
          const { control } = yield* Own
          const topic = yield* topicOf("alarm")
          const connections = Effect.map(
            control("list_connections", "-q", "name"),
            (text) => text.trim().split("\n").slice(1).sort().join()
          )
          assert.deepStrictEqual(shortOf(yield* publish(messageOf({ topic }))), ["Delivered"])
          const before = yield* connections
          yield* control("set_vm_memory_high_watermark", "absolute", "1")
          for (let round = 0; round < 3; round++) {
            const [outcome] = yield* publish(messageOf({ topic })).pipe(Effect.timeout("1500 millis"))
            assert.deepInclude(outcome, { _tag: "Retriable", scope: "broker" })
            assert.include(JSON.stringify(outcome), "takes no messages for now")
            // longer than the deadline, after which a connection would be taken for dead
            yield* Effect.sleep("1 second")
          }
          assert.strictEqual(yield* connections, before)
          yield* control("set_vm_memory_high_watermark", "0.6")
          yield* Fixtures.eventually(
            "it takes messages again",
            publish(messageOf({ topic })),
            ([outcome]) => outcome!._tag === "Delivered"
          )
          assert.strictEqual(yield* connections, before)
        }).pipe(Effect.provide(onOwn({ deadline: "2 seconds" }))),
      60_000
    )

    for (const order of ["strict", "pipelined"] as const) {
      it.scoped(
        `that finds a message too large rejects this one, and takes the others: ${order}`,
        () =>
          Effect.gen(function*() {
            const { use } = yield* Admin
            const topic = yield* topicOf("large")
            const large = new Uint8Array(maxMessageSize + 1)
            const sent = Array.from(
              { length: 40 },
              (_, n) => messageOf({ topic, key: `key ${n}`, ...(n % 13 === 5 ? { payload: large } : {}) })
            )
            const behind = messageOf({ topic, key: "key 5" })
            const outcomes = yield* publish(...sent, behind)
            assert.deepStrictEqual(shortOf(outcomes), [
              ...sent.map((_, n) => n % 13 === 5 ? "Rejected" : "Delivered"),
              "destination"
            ])
            assert.include(JSON.stringify(outcomes[5]), "larger than configured max size")
            const { messageCount } = yield* use((channel) => channel.checkQueue(topic))
            assert.isAtLeast(messageCount, 37)
          }).pipe(Effect.provide(onOwn({ order }))),
        60_000
      )
    }

    it.scoped(
      "on which a user may not write to an exchange suspends this one alone, until it may",
      () =>
        Effect.gen(function*() {
          const { control, url } = yield* Own
          const allowed = yield* topicOf("allowed")
          const secret = yield* topicOf("secret")
          yield* control("add_user", "clerk", "clerk")
          yield* control("set_permissions", "clerk", "", allowed.replaceAll(".", "\\."), "")
          const to = new URL(Redacted.value(url))
          to.username = to.password = "clerk"
          yield* Effect.gen(function*() {
            const both = [messageOf({ topic: secret }), messageOf({ topic: allowed })]
            for (let round = 0; round < 3; round++) {
              const outcomes = yield* publish(...both)
              assert.deepStrictEqual(shortOf(outcomes), ["destination", "Delivered"])
              assert.include(JSON.stringify(outcomes[0]), "grant this user what it needs")
            }
            yield* control("set_permissions", "clerk", "", ".*", "")
            assert.deepStrictEqual(shortOf(yield* publish(...both)), ["Delivered", "Delivered"])
          }).pipe(Effect.provide(AmqpBroker.layer({ url: Redacted.make(to.href) })))
        }).pipe(Effect.provide(Layer.merge(ownAdmin, quiet))),
      60_000
    )
  })
})
