/** What becomes of messages when answers are lost, and when members come, go, crash or stand still. */
import { Broker } from "@effect-cqrs/core"
import type { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures, Proxy } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Redacted, Schedule, Scope } from "effect"
import { endpoint, hasty, idsIn, on, topic, unique } from "./support/kafka.ts"

const { messageOf } = Fixtures

const quiet = Logger.remove(Logger.defaultLogger)

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const [host, port] = brokers.split(",")[0]!.split(":") as [string, string]

  const brokerWith = (options: Omit<KafkaBroker.Options, "brokers"> = {}, log: Layer.Layer<never> = quiet) =>
    Effect.map(
      Layer.build(Layer.provideMerge(on(brokers, { ...options, consumer: { ...hasty, ...options.consumer } }), log)),
      (context) => Broker.Broker.of(Effect.runSync(Effect.provide(Broker.Broker, context)))
    )

  /** The same through a proxy, giving up early. */
  const farWith = (options: Omit<KafkaBroker.Options, "brokers"> = {}, log?: Layer.Layer<never>) =>
    Effect.gen(function*() {
      const proxy = yield* Proxy.make({ host, port: Number(port) })
      const broker = yield* brokerWith({
        producer: { deadline: "1 second" },
        requestTimeout: "1 second",
        redirect: () => ({ host: "127.0.0.1", port: proxy.port }),
        ...options
      }, log)
      return { proxy, broker }
    })

  type Service = Effect.Effect.Success<ReturnType<typeof brokerWith>>
  type Source = Effect.Effect.Success<ReturnType<Service["consume"]>>

  const until = (what: string, look: () => boolean, patience = 20_000) =>
    Effect.repeat(Effect.sync(look), { until: (is) => is, schedule: Schedule.spaced(10) }).pipe(
      Effect.timeoutFail({ duration: patience, onTimeout: () => new Cause.TimeoutException(`not in time: ${what}`) })
    )

  /** Settles what comes, and counts how often. */
  const collect = (source: Source, into = new Map<string, number>()) =>
    Effect.as(
      Effect.forkScoped(Effect.forever(Effect.scoped(Effect.map(source.take, ({ message: { id } }) => {
        into.set(id, (into.get(id) ?? 0) + 1)
      })))),
      into
    )

  /** Publishes one after the other, each until it is delivered. */
  const load = (broker: Service, topic: string) =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const fiber = yield* Effect.forkScoped(Effect.forever(Effect.suspend(() => {
        const message = messageOf({ topic, key: `key ${sent.length % 12}` })
        return Effect.zipRight(
          Effect.map(
            Effect.repeat(broker.publish([message]), { until: ([outcome]) => outcome!._tag === "Delivered" }),
            () => sent.push(message.id)
          ),
          Effect.sleep(5)
        )
      })))
      return { sent, stop: Fiber.interrupt(fiber) }
    })

  it.scopedLive(
    "whose answer was lost may be there; what is said to be delivered then is, each key in order",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "lost answers")
        const { broker, proxy } = yield* farWith()
        const batch = (count: number) =>
          Array.from({ length: count }, (_, n) => messageOf({ topic: name, key: `key ${n % 5}` }))
        const delivered: Array<ReturnType<typeof messageOf>> = []
        const publish = (messages: ReturnType<typeof batch>) =>
          Effect.map(broker.publish(messages), (outcomes) => {
            for (const [at, { _tag }] of outcomes.entries()) if (_tag === "Delivered") delivered.push(messages[at]!)
            return outcomes.filter(({ _tag }) => _tag === "Delivered").length
          })
        let unanswered: ReadonlyArray<string> = []
        for (const stall of [proxy.stallResponses, proxy.stall, proxy.stallResponses]) {
          assert.strictEqual(yield* publish(batch(20)), 20)
          yield* stall
          const lost = batch(20)
          assert.strictEqual(yield* publish(lost), 0)
          unanswered = [...unanswered, ...lost.map(({ id }) => id)]
          yield* proxy.restore
          // others, and not the same ones again
          for (let round = 0; round < 2; round++) {
            const others = batch(20)
            yield* Effect.repeat(Effect.map(publish(others), (count) => count === 20), {
              until: (all) => all,
              times: 5
            })
            assert.isTrue(others.every((one) => delivered.includes(one)), "publishing goes on")
          }
        }
        const found = yield* idsIn(brokers, name)
        assert.isTrue(unanswered.some((id) => found.includes(id)), "no request arrived whose answer was lost")
        const firsts = [...new Set(found)].filter((id) => !unanswered.includes(id))
        for (let key = 0; key < 5; key++) {
          const sent = [...new Set(delivered.filter((one) => one.key === `key ${key}`).map(({ id }) => id))]
          assert.deepStrictEqual(firsts.filter((id) => sent.includes(id)), sent)
        }
        assert.strictEqual(firsts.length, new Set(delivered.map(({ id }) => id)).size)
      }),
    60_000
  )

  it.scopedLive("many that ask while the first connections are made wait for them", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "connecting")
      for (let round = 0; round < 5; round++) {
        const outcomes = yield* Effect.scoped(Effect.flatMap(brokerWith(), (broker) =>
          Effect.forEach(
            [name, ...Array.from({ length: 40 }, () => unique("missing"))],
            (topic, n) => Effect.delay(broker.publish([messageOf({ topic })]), n / 4),
            { concurrency: "unbounded" }
          )))
        const [first, ...others] = outcomes.flat()
        assert.strictEqual(first!._tag, "Delivered")
        for (const one of others) {
          assert.include(one, { _tag: "Retriable", scope: "destination" })
        }
      }
    }), 60_000)

  it.scopedLive("members that go in the middle of joining leave nobody waiting for them", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "come and go")
      const group = unique("group")
      const broker = yield* brokerWith()
      const received = yield* collect(yield* broker.consume({ topics: [name], group }))
      const { sent, stop } = yield* load(broker, name)
      yield* until("messages arrive", () => received.size >= 10)
      let slowest = 0
      for (let round = 0; round < 12; round++) {
        const began = Date.now()
        const scope = yield* Scope.make()
        yield* collect(yield* Scope.extend(broker.consume({ topics: [name], group }), scope), received).pipe(
          Scope.extend(scope)
        )
        yield* Effect.sleep(round * 12)
        yield* Scope.close(scope, Exit.void)
        slowest = Math.max(slowest, Date.now() - began)
      }
      yield* stop
      yield* until("each message arrives", () => sent.every((id) => received.has(id)), 10_000)
      // one that cannot leave gives up after 5 seconds, and is waited for until its session ends, after 30
      assert.isBelow(slowest, 4500)
    }), 60_000)

  it.scopedLive("one that crashes begins anew, and does not wait for what it was", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "crash")
      const near = yield* brokerWith()
      const crashed = yield* Deferred.make<void>()
      const log = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => {
          if (String(message).includes("begins anew")) Deferred.unsafeDone(crashed, Effect.void)
        })
      )
      const { broker, proxy } = yield* farWith({}, log)
      const received = yield* collect(yield* broker.consume({ topics: [name], group: unique("group") }))
      const first = messageOf({ topic: name })
      yield* near.publish([first])
      yield* until("a message arrives", () => received.has(first.id))
      yield* proxy.cut
      yield* Effect.timeout(Deferred.await(crashed), "40 seconds")
      const second = messageOf({ topic: name })
      yield* near.publish([second])
      yield* proxy.restore
      yield* until("a message arrives again", () => received.has(second.id), 12_000)
      assert.strictEqual(received.get(second.id), 1)
    }), 90_000)

  it.scopedLive(
    "a handler that takes longer than a session keeps its message, and others of its member go on",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "long", { partitions: 2 })
        const group = unique("group")
        const broker = yield* brokerWith({ consumer: { sessionTimeout: "6 seconds" } })
        const source = yield* broker.consume({ topics: [name], group })
        const long = messageOf({ topic: name, key: "long" })
        yield* broker.publish([long])
        const held = yield* Scope.make()
        const taken = yield* Scope.extend(source.take, held)
        assert.strictEqual(taken.message.id, long.id)
        const received = yield* collect(source)
        yield* Effect.sleep("8 seconds")
        const others = Array.from({ length: 20 }, (_, n) => messageOf({ topic: name, key: `other ${n}` }))
        yield* broker.publish(others)
        yield* until("others are handled", () => others.every(({ id }) => received.has(id)))
        yield* Scope.close(held, Exit.void)
        const last = messageOf({ topic: name, key: "long" })
        yield* broker.publish([last])
        yield* until("its key goes on", () => received.has(last.id))
        assert.isFalse(received.has(long.id), "it was handled once")
      }),
    60_000
  )

  it.scopedLive(
    "what is out when another member joins is settled, and comes to neither again",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "join")
        const group = unique("group")
        const broker = yield* brokerWith({ consumer: { drainTimeout: "8 seconds" } })
        const first = yield* broker.consume({ topics: [name], group })
        const messages = Array.from({ length: 6 }, (_, n) => messageOf({ topic: name, key: `key ${n}` }))
        yield* broker.publish(messages)
        const scope = yield* Scope.make()
        let out: ReadonlyArray<string> = []
        yield* until("all are out", () => out.length === 6).pipe(
          Effect.raceFirst(Effect.forever(
            Effect.map(Scope.extend(first.takeMany(6), scope), (held) => {
              out = [...out, ...held.map(({ message }) => message.id)]
            })
          ))
        )
        const received = yield* collect(yield* broker.consume({ topics: [name], group }))
        yield* collect(first, received)
        yield* Effect.sleep("1 second")
        assert.strictEqual(received.size, 0, "partitions are kept while messages are out")
        yield* Scope.close(scope, Exit.void)
        const later = Array.from({ length: 12 }, (_, n) => messageOf({ topic: name, key: `key ${n}` }))
        yield* broker.publish(later)
        yield* until("both go on", () => later.every(({ id }) => received.has(id)))
        assert.deepStrictEqual([...received.keys()].filter((id) => out.includes(id)), [])
      }),
    60_000
  )

  it.scopedLive("a partition that stands still holds up no other of its member", () =>
    Effect.gen(function*() {
      const name = yield* topic(brokers, "slow")
      const broker = yield* brokerWith()
      const stuck = Array.from({ length: 1500 }, () => messageOf({ topic: name, key: "stuck" }))
      yield* broker.publish(stuck)
      const source = yield* broker.consume({ topics: [name], group: unique("group"), window: 16 })
      const held = yield* Scope.make()
      yield* Scope.extend(source.take, held)
      const received = yield* collect(source)
      const others = Array.from({ length: 3000 }, (_, n) => messageOf({ topic: name, key: `other ${n % 40}` }))
      yield* broker.publish(others)
      // some of the other keys are of the partition that stands still
      yield* until("most of the others are handled", () => received.size > 1500, 15_000)
      yield* Scope.close(held, Exit.void)
      yield* until("all are handled", () => received.size === 4499, 30_000)
    }), 60_000)
})
