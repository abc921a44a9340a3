import { Broker, Metrics } from "@effect-cqrs/core"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Metric, Redacted } from "effect"
import { endpoint, hasty, on, topic, unique } from "./support/kafka.ts"

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const layer = Layer.merge(on(brokers, { consumer: hasty }), Logger.remove(Logger.defaultLogger))

  const lagOf = (group: string, name: string) =>
    Effect.map(
      Metric.value(
        Metric.tagged(
          Metric.tagged(Metric.tagged(Metrics.consumerLag, "group", group), "topic", name),
          "partition",
          "0"
        )
      ),
      ({ value }) => value
    )
  const publish = (name: string, count: number) =>
    Effect.flatMap(
      Broker.Broker,
      (broker) => broker.publish(Array.from({ length: count }, () => Fixtures.messageOf({ topic: name })))
    )
  const settle = (source: Broker.Source, count: number) =>
    Effect.replicateEffect(Effect.scoped(source.take), count, { discard: true })

  it.scopedLive(
    "the lag is what lies behind that which is settled, and follows what is published",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "lag", { partitions: 1 })
        const group = unique("group")
        const broker = yield* Broker.Broker
        yield* publish(name, 10)
        const source = yield* broker.consume({ topics: [name], group })
        yield* settle(source, 4)
        yield* Fixtures.eventually("six are left", lagOf(group, name), (lag) => lag === 6)
        yield* publish(name, 3)
        yield* settle(source, 1)
        yield* Fixtures.eventually("eight are left", lagOf(group, name), (lag) => lag === 8)
        yield* settle(source, 8)
        yield* Fixtures.eventually("none is left", lagOf(group, name), (lag) => lag === 0)
      }).pipe(Effect.provide(layer)),
    30_000
  )

  it.scopedLive("a member that has left has no lag", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "lag_left", { partitions: 1 })
      const group = unique("group")
      const broker = yield* Broker.Broker
      yield* publish(name, 10)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* settle(yield* broker.consume({ topics: [name], group }), 4)
        yield* Fixtures.eventually("six are left", lagOf(group, name), (lag) => lag === 6)
      }))
      assert.strictEqual(yield* lagOf(group, name), 0)
    }).pipe(Effect.provide(layer)), 30_000)

  it.scopedLive("a member that settles nothing has all of it as its lag", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "lag_stuck", { partitions: 1 })
      const group = unique("group")
      const broker = yield* Broker.Broker
      yield* publish(name, 10)
      const source = yield* broker.consume({ topics: [name], group })
      yield* source.take
      yield* Fixtures.eventually("all are left", lagOf(group, name), (lag) => lag === 10)
    }).pipe(Effect.provide(layer)), 30_000)
})
