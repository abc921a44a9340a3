import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker, Consumer, ConsumerDeadLetters, Event, Subscribers } from "@effect-cqrs/core"
import { Endpoint, Fixtures, Proxy } from "@effect-cqrs/testing"
import { afterAll, assert, describe, it } from "@effect/vitest"
import type { ConsumeMessage } from "amqplib"
import { Context, Effect, Either, Layer, Logger, Redacted, Schedule, Schema } from "effect"
import { Admin, admin, cleanUp, endpoint, unique } from "./support/rabbitmq.ts"

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  afterAll(() => cleanUp(url))

  it.scopedLive(
    "dead letters are in a queue of their own, are looked at there, and go back to their topic",
    () =>
      Effect.gen(function*() {
        const { forget } = yield* Admin
        const topic = unique("poison")
        const group = `${topic}.billing`
        for (const name of [topic, `${group}.dead-letters`]) forget("exchange", name)
        for (const name of [`${group}.${topic}`, `${group}.dead-letters`]) forget("queue", name)
        class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
          topic,
          payload: { roomId: Schema.String },
          key: (event) => event.roomId
        }) {}
        let isBroken = true
        const handled: Array<string> = []
        const consumer = Consumer.layer({
          subscription: { group },
          events: [RoomClosed],
          retry: Schedule.recurs(1)
        }).pipe(Layer.provide(Subscribers.layer(RoomClosed, {
          note: (event) =>
            isBroken ? Effect.fail("broken") : Effect.sync(() => {
              handled.push(event.roomId)
            })
        })))
        const broker = yield* Broker.Broker
        const letters = yield* ConsumerDeadLetters.make({ group })
        yield* Layer.build(consumer)
        const payload = new TextEncoder().encode("{\"roomId\":\"blue\"}")
        yield* broker.publish([Fixtures.messageOf({ id: "1", topic, key: "blue", name: "room_closed", payload })])
        const found = yield* Fixtures.eventually("a dead letter", letters.list(), (list) => list.length > 0)
        assert.deepStrictEqual(found.map(({ attempts, id }) => [id, attempts]), [["1", 2]])
        assert.strictEqual((yield* letters.list()).length, 1)
        isBroken = false
        assert.deepInclude(yield* letters.redrive({}), { done: 1, kept: 0 })
        yield* Fixtures.eventually("it is handled", Effect.sync(() => handled.length), (count) => count === 1)
        assert.deepStrictEqual(yield* letters.list(), [])
      }).pipe(
        Effect.provide(Layer.mergeAll(
          AmqpBroker.layer({ url }),
          Layer.scoped(Admin, admin(url)),
          Logger.remove(Logger.defaultLogger)
        ))
      ),
    30_000
  )

  const quiet = Logger.remove(Logger.defaultLogger)
  const shared = Layer.mergeAll(AmqpBroker.layer({ url }), Layer.scoped(Admin, admin(url)), quiet)

  it.scopedLive(
    "what is forwarded keeps properties and headers of any type, but the expiration and the count of its queue",
    () =>
      Effect.gen(function*() {
        const { forget, use } = yield* Admin
        const [from, to] = [unique("from"), unique("to")]
        forget("exchange", from)
        forget("queue", `group.${from}`)
        forget("exchange", to)
        forget("queue", to)
        const broker = yield* Broker.Broker
        const source = yield* broker.consume({ topics: [from], group: "group", publishesTo: [to] })
        const headers = {
          text: "größe",
          removed: "x",
          small: 7,
          large: 9_007_199_254_740_991,
          negative: -3_000_000_000,
          half: 0.5,
          yes: true,
          nothing: null,
          bytes: Buffer.from([0, 255, 128]),
          when: { "!": "timestamp", value: 1_700_000_000 },
          decimal: { "!": "decimal", value: { digits: 314, places: 2 } },
          list: [1, "two", [3.5], { four: Buffer.from([4]) }],
          table: { inner: { deep: [true, null] } },
          // what amqplib takes for a notation of its own, unless it is told
          odd: Object.create({ "!": "no type", value: 1 }) as object,
          "x-death": [{ count: 1, queue: "other", time: { "!": "timestamp", value: 1 } }]
        }
        const properties = {
          contentType: "text/plain",
          contentEncoding: "gzip",
          priority: 3,
          correlationId: "c",
          replyTo: "r",
          messageId: "m",
          timestamp: 1_700_000_000,
          type: "t",
          appId: "a"
        }
        yield* use(async (channel) => {
          channel.publish(from, "some.key", Buffer.from([1, 0, 2]), { ...properties, headers, expiration: "60000" })
          await channel.checkExchange(from)
        })
        // once more, so that its queue has counted it
        yield* Effect.exit(Effect.scoped(Effect.flatMap(source.take, Effect.fail)))
        const delivery = yield* source.take
        assert.isString(delivery.unreadable)
        assert.deepInclude(delivery.message.headers, { text: "größe", small: "7", yes: "true", half: "0.5" })
        assert.notProperty(delivery.message.headers, "table")
        const outcome = yield* delivery.forward({ topic: to, headers: { removed: undefined, reason: "because" } })
        assert.deepStrictEqual(outcome, { _tag: "Delivered" })
        const got = yield* use((channel) =>
          new Promise<ConsumeMessage>((resolve) =>
            void channel.consume(to, (message) => message !== null && resolve(message))
          )
        )
        assert.deepStrictEqual([...got.content], [1, 0, 2])
        assert.strictEqual(got.fields.routingKey, "some.key")
        const { removed: _, ...rest } = headers
        assert.deepStrictEqual(got.properties.headers, {
          ...rest,
          odd: { "!": "no type", value: 1 },
          reason: "because"
        } as object)
        const known = Object.fromEntries(
          Object.entries(got.properties).filter(([name, value]) => name !== "headers" && value !== undefined)
        )
        assert.deepStrictEqual(known, { ...properties, deliveryMode: 2 })
      }).pipe(Effect.provide(shared)),
    20_000
  )

  for (const queueType of ["quorum", "classic"] as const) {
    it.scopedLive(
      `what a ${queueType} queue keeps stays in its place, and a group that is there has it to itself`,
      () =>
        Effect.gen(function*() {
          const { forget } = yield* Admin
          const topic = unique(`sift_${queueType}`)
          forget("exchange", topic)
          forget("queue", topic)
          const broker = yield* Broker.Broker
          yield* Effect.scoped(broker.consume({ topics: [topic], group: topic }))
          const sent = Array.from({ length: 100 }, (_, n) => Fixtures.messageOf({ topic, key: "one", id: `${n}` }))
          yield* broker.publish(sent)
          const seen: Array<string> = []
          const decide = (delivery: Broker.Delivery) =>
            Effect.sync(() => {
              seen.push(delivery.message.id)
              return Number(delivery.message.id) % 3 === 0 ? "settled" as const : "kept" as const
            })
          const kept = sent.flatMap(({ id }) => Number(id) % 3 === 0 ? [] : [id])
          assert.strictEqual(yield* broker.sift({ topic, group: topic }, decide), sent.length - kept.length)
          assert.deepStrictEqual(seen.splice(0), sent.map(({ id }) => id))
          // what was kept is back a moment after the sifting is over
          const again = Effect.filterOrFail(broker.sift({ topic, group: topic }, decide), () => seen.length > 0)
          assert.strictEqual(yield* Effect.retry(again, { times: 50, schedule: Schedule.spaced("50 millis") }), 0)
          assert.deepStrictEqual(seen.splice(0), kept)
          const source = yield* broker.consume({ topics: [topic], group: topic, window: 10 })
          const first = yield* source.take
          assert.strictEqual(first.message.id, kept[0])
          const answer = yield* Effect.either(broker.sift({ topic, group: topic }, decide))
          if (queueType === "quorum") assert.include(JSON.stringify(answer), "stop the group")
          // what the group does not hold
          else assert.deepStrictEqual(seen.splice(0), kept.slice(10))
        }).pipe(Effect.provide(
          Layer.mergeAll(AmqpBroker.layer({ url, queueType }), Layer.scoped(Admin, admin(url)), quiet)
        )),
      30_000
    )
  }

  for (const queueType of ["quorum", "classic"] as const) {
    it.scopedLive(
      `when the connection is lost in the middle of a ${queueType} queue, it is said so, and nothing is lost`,
      () =>
        Effect.gen(function*() {
          const { forget } = yield* Admin
          const topic = unique(`sift_lost_${queueType}`)
          forget("exchange", topic)
          forget("queue", topic)
          const to = new URL(Redacted.value(url))
          const proxy = yield* Proxy.make({ host: to.hostname, port: Number(to.port || 5672) })
          to.host = `127.0.0.1:${proxy.port}`
          const broker = yield* Effect.map(
            Layer.build(Layer.provide(AmqpBroker.layer({ url: Redacted.make(to.href), queueType }), quiet)),
            Context.get(Broker.Broker)
          )
          yield* Effect.scoped(broker.consume({ topics: [topic], group: topic }))
          yield* broker.publish(["1", "2", "3"].map((id) => Fixtures.messageOf({ topic, id })))
          const sift = (decide: (id: string) => Effect.Effect<"settled" | "kept">) =>
            Effect.either(broker.sift({ topic, group: topic }, ({ message }) => decide(message.id)))
          for (const last of ["1", "3"]) {
            yield* proxy.restore
            let isReached = false
            const cut = Effect.suspend(() => {
              isReached = true
              return Effect.zipLeft(proxy.cut, Effect.sleep("100 millis"))
            })
            const answer = yield* Fixtures.eventually(
              `it comes to ${last}`,
              sift((id) => Effect.as(id === last ? cut : Effect.void, "settled")),
              () => isReached
            )
            assert.strictEqual(Either.isLeft(answer) && answer.left.reason, "Unavailable")
          }
          yield* proxy.restore
          const seen: Array<string> = []
          const look = sift((id) => {
            seen.push(id)
            return Effect.succeed("kept")
          })
          yield* Fixtures.eventually("what was not settled is there", look, () => seen.includes("3"))
        }).pipe(Effect.provide(Layer.merge(Layer.scoped(Admin, admin(url)), quiet))),
      30_000
    )
  }
})
