import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker, Consumer, ConsumerDeadLetters, Event, Subscribers } from "@effect-cqrs/core"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schedule, Schema } from "effect"
import { Admin, admin, cleanUp, endpoint, unique } from "./rabbitmq.ts"

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
})
