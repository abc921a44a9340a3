import { Broker, Consumer, ConsumerDeadLetters, Event, Subscribers } from "@effect-cqrs/core"
import type { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Redacted, Schedule, Schema } from "effect"
import type { KafkaMessage, Message } from "kafkajs"
import { clientOf, endpoint, hasty, on, topic, unique, withAdmin } from "./support/kafka.ts"
import { ownServer } from "./support/server.ts"

Endpoint.suite("Kafka", { describe, it, ...endpoint }, (url) => {
  const brokers = Redacted.value(url)
  const layer = (options: Omit<KafkaBroker.Options, "brokers"> = {}) =>
    Layer.merge(on(brokers, { consumer: hasty, ...options }), Logger.remove(Logger.defaultLogger))

  const send = (topic: string, messages: Array<Message>) =>
    Effect.acquireUseRelease(
      Effect.promise(async () => {
        const producer = clientOf(brokers).producer({ allowAutoTopicCreation: false })
        await producer.connect()
        return producer
      }),
      (producer) => Effect.promise(() => producer.send({ topic, messages })),
      (producer) => Effect.promise(() => producer.disconnect())
    )
  const numbered = (count: number): Array<Message> =>
    Array.from({ length: count }, (_, n) => ({ key: "key", value: `${n}` }))
  const textOf = ({ message }: Broker.Delivery) => new TextDecoder().decode(message.payload)

  /** All that a topic of one partition has, as kafkajs's own consumer reads it. */
  const contents = (name: string) =>
    Effect.gen(function*() {
      const [at] = yield* withAdmin(brokers, (admin) => admin.fetchTopicOffsets(name))
      const found: Array<KafkaMessage> = []
      if (at!.high === at!.low) return found
      const done = yield* Deferred.make<void>()
      const consumer = yield* Effect.acquireRelease(
        Effect.sync(() => clientOf(brokers).consumer({ groupId: unique("reader"), maxWaitTimeInMs: 50 })),
        (consumer) => Effect.promise(() => consumer.disconnect())
      )
      yield* Effect.promise(async () => {
        await consumer.connect()
        await consumer.subscribe({ topics: [name], fromBeginning: true })
        await consumer.run({
          eachMessage: async ({ message }) => {
            found.push(message)
            if (BigInt(message.offset) === BigInt(at!.high) - 1n) Deferred.unsafeDone(done, Effect.void)
          }
        })
      })
      yield* Deferred.await(done)
      return found
    }).pipe(Effect.scoped)

  /** What waits, in the order in which it is handed out; all of it is kept. */
  const waiting = (queue: { readonly topic: string; readonly group: string }) =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const found: Array<string> = []
      yield* broker.sift(queue, (delivery) => {
        found.push(textOf(delivery))
        return Effect.succeed("kept" as const)
      })
      return found
    })
  const queueOf = (name: string, partitions = 1) =>
    Effect.map(topic(brokers, name, { partitions }), (topic) => ({ topic, group: unique("sifter") }))

  it.scopedLive(
    "what is settled is gone, and what is kept stays, behind the rest, in its order",
    () =>
      Effect.gen(function*() {
        const queue = yield* queueOf("kept")
        const broker = yield* Broker.Broker
        yield* send(queue.topic, numbered(6))
        assert.deepStrictEqual(yield* waiting(queue), ["0", "1", "2", "3", "4", "5"])
        assert.strictEqual((yield* contents(queue.topic)).length, 6, "nothing is written where all is kept")
        const settled = yield* broker.sift(
          queue,
          (delivery) => Effect.succeed(["1", "3"].includes(textOf(delivery)) ? "settled" : "kept")
        )
        assert.strictEqual(settled, 2)
        // those behind the last that was settled are where they were
        assert.deepStrictEqual(yield* waiting(queue), ["4", "5", "0", "2"])
        assert.strictEqual(yield* broker.sift(queue, () => Effect.succeed("settled")), 4)
        assert.deepStrictEqual(yield* waiting(queue), [])
      }).pipe(Effect.provide(layer())),
    30_000
  )

  it.scopedLive("a cluster that has never had a group has one before anything is sifted", () =>
    Effect.gen(function*() {
      const { brokers } = yield* ownServer
      const name = yield* topic(brokers, "first", { partitions: 1 })
      const broker = yield* Effect.map(
        Layer.build(on(brokers, { consumer: { ...hasty, fromBeginning: true } })),
        Context.get(Broker.Broker)
      )
      yield* broker.publish([Fixtures.messageOf({ topic: name, id: "1" })])
      assert.strictEqual(
        yield* broker.sift({ topic: name, group: unique("first") }, () => Effect.succeed("settled")),
        1
      )
    }), 60_000)

  it.scopedLive(
    "what is kept, or forwarded, is what it was: binary and repeated headers, no body, no key",
    () =>
      Effect.gen(function*() {
        const queue = yield* queueOf("intact")
        const target = yield* topic(brokers, "intact_target", { partitions: 1 })
        const broker = yield* Broker.Broker
        const binary = Buffer.from([0xff, 0x00, 0xfe, 0x80])
        const sent: ReadonlyArray<Message> = [
          { key: "k", value: null, headers: { binary, many: ["a", "b", binary], "größe": "ü", empty: "" } },
          { key: null, value: binary, headers: { ["__proto__"]: "x", ce_id: "1", "content-type": "text/plain" } },
          { key: binary, value: Buffer.alloc(0), headers: { ["constructor"]: "y" } }
        ]
        yield* send(queue.topic, [...sent, { key: "last", value: "last" }])
        let tombstones = 0
        yield* broker.sift(queue, (delivery) =>
          Effect.gen(function*() {
            if (delivery.isTombstone) tombstones += 1
            if (textOf(delivery) === "last") return "settled"
            assert.deepStrictEqual(
              yield* delivery.forward({ topic: target, headers: { added: "z", empty: undefined } }),
              Broker.Outcome.Delivered()
            )
            return "kept"
          }))
        assert.strictEqual(tombstones, 1)
        // kafkajs's own reader adds members of objects, to headers that are called as they are
        const isSent = (one: unknown) => typeof one === "string" || Buffer.isBuffer(one)
        const bytes = (value: unknown) => Buffer.from(value as string).toString("hex")
        const shape = ({ headers = {}, key, value }: Pick<KafkaMessage, "headers" | "key" | "value"> | Message) => ({
          key: key === null || key === undefined ? null : bytes(key),
          value: value === null ? null : bytes(value),
          headers: Object.entries(headers).map(([name, held]) => [name, [held].flat().filter(isSent).map(bytes)]).sort()
        })
        const kept = (yield* contents(queue.topic)).slice(sent.length + 1)
        assert.deepStrictEqual(kept.map(shape), sent.map(shape))
        const changed = sent.map(shape).map((one) => ({
          ...one,
          headers: [...one.headers.filter(([name]) => name !== "empty"), ["added", [bytes("z")]]].sort()
        }))
        assert.deepStrictEqual((yield* contents(target)).map(shape), changed)
      }).pipe(Effect.provide(layer())),
    30_000
  )

  it.scopedLive(
    "more than one fetch holds, in several partitions, is gone through and kept",
    () =>
      Effect.gen(function*() {
        const queue = yield* queueOf("pages", 3)
        const broker = yield* Broker.Broker
        const body = Buffer.alloc(600 * 1024, "x")
        for (let n = 0; n < 9; n++) {
          yield* send(queue.topic, [{
            partition: n % 3,
            key: `${n}`,
            value: Buffer.concat([Buffer.from(`${n} `), body])
          }])
        }
        const first = (text: string) => text.slice(0, 1)
        const settled = yield* broker.sift(
          queue,
          (delivery) => Effect.succeed(["6", "7", "8"].includes(first(textOf(delivery))) ? "settled" : "kept")
        )
        assert.strictEqual(settled, 3)
        const left = (yield* waiting(queue)).map(first).sort()
        assert.deepStrictEqual(left, ["0", "1", "2", "3", "4", "5"])
      }).pipe(Effect.provide(layer())),
    30_000
  )

  it.scopedLive(
    "while the group has members nothing is sifted; when they have left, what they settled is not shown",
    () =>
      Effect.gen(function*() {
        const queue = yield* queueOf("live")
        const broker = yield* Broker.Broker
        yield* send(queue.topic, numbered(3))
        yield* Effect.scoped(Effect.gen(function*() {
          const source = yield* broker.consume({ topics: [queue.topic], group: queue.group })
          yield* Effect.scoped(source.take)
          const error = yield* Effect.flip(broker.sift(queue, () => Effect.die("nothing is shown")))
          assert.strictEqual(error.reason, "Unavailable")
          for (const words of [queue.group, "Stop its consumers"]) assert.include(error.message, words)
        }))
        assert.deepStrictEqual(yield* waiting(queue), ["1", "2"])
      }).pipe(Effect.provide(layer())),
    30_000
  )

  it.scopedLive(
    "who joins in the middle is not robbed: the sifting fails, and nothing is lost",
    () =>
      Effect.gen(function*() {
        const queue = yield* queueOf("joined")
        const broker = yield* Broker.Broker
        yield* send(queue.topic, numbered(3))
        const error = yield* Effect.scoped(Effect.gen(function*() {
          const joined = yield* Deferred.make<void>()
          const sifting = yield* Effect.fork(
            broker.sift(queue, () => Effect.as(Deferred.await(joined), "settled" as const))
          )
          const source = yield* broker.consume({ topics: [queue.topic], group: queue.group })
          // one that was given back comes again
          yield* Effect.exit(Effect.scoped(Effect.zipRight(source.take, Effect.fail("not handled"))))
          yield* Deferred.succeed(joined, undefined)
          return yield* Effect.flip(Fiber.join(sifting))
        }))
        assert.strictEqual(error.reason, "Unavailable")
        assert.include(error.message, queue.group)
        assert.deepStrictEqual(yield* waiting(queue), ["0", "1", "2"])
      }).pipe(Effect.provide(layer())),
    30_000
  )

  for (const how of ["interrupted", "failed"] as const) {
    it.scopedLive(`${how} in the middle, it has settled what it has, and lost nothing`, () =>
      Effect.gen(function*() {
        const queue = yield* queueOf(how)
        const broker = yield* Broker.Broker
        yield* send(queue.topic, numbered(6))
        const reached = yield* Deferred.make<void>()
        const sifting = yield* Effect.fork(broker.sift(queue, (delivery) => {
          const text = textOf(delivery)
          if (text !== "3") return Effect.succeed(text === "1" ? "kept" : "settled")
          return Effect.zipRight(
            Deferred.succeed(reached, undefined),
            how === "failed" ? Effect.fail("enough") : Effect.never
          )
        }))
        yield* Deferred.await(reached)
        if (how === "failed") assert.strictEqual(yield* Effect.flip(Fiber.join(sifting)), "enough")
        else yield* Fiber.interrupt(sifting)
        assert.deepStrictEqual(yield* waiting(queue), ["3", "4", "5", "1"])
      }).pipe(Effect.provide(layer())), 30_000)
  }

  it.scopedLive("a topic that is missing is a matter of configuration, by name", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const missing = unique("missing")
      const error = yield* Effect.flip(broker.sift({ topic: missing, group: missing }, () => Effect.succeed("kept")))
      assert.strictEqual(error.reason, "Configuration")
      assert.include(error.message, missing)
    }).pipe(Effect.provide(layer())), 20_000)

  it.scopedLive(
    "dead letters are listed, counted, inspected, given up, and sent again to their group alone",
    () =>
      Effect.gen(function*() {
        const name = yield* topic(brokers, "letters")
        const dead = yield* topic(brokers, "letters_dead", { partitions: 2 })
        const [broken, well] = [unique("broken"), unique("well")]
        class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
          topic: name,
          payload: { roomId: Schema.String },
          key: (event) => event.roomId
        }) {}
        let isBroken = true
        const handled: Array<string> = []
        const consumer = (group: string, handle: (roomId: string) => Effect.Effect<void, string>) =>
          Consumer.layer({
            subscription: { group },
            events: [RoomClosed],
            retry: Schedule.recurs(1),
            deadLetter: { topic: dead }
          }).pipe(Layer.provide(Subscribers.layer(RoomClosed, { note: (event) => handle(event.roomId) })))
        const note = (group: string) => (roomId: string) =>
          group === broken && isBroken
            ? Effect.fail(`no room ${roomId}`)
            : Effect.sync(() => void handled.push(`${group}:${roomId}`))
        const broker = yield* Broker.Broker
        const letters = yield* ConsumerDeadLetters.make({ group: broken, topic: dead })
        for (const group of [broken, well]) yield* Layer.build(consumer(group, note(group)))
        const rooms = ["blue", "red", "green"]
        yield* broker.publish(rooms.map((roomId) =>
          Fixtures.messageOf({
            id: roomId,
            topic: name,
            key: roomId,
            name: "room_closed",
            headers: { tenant: "größe" },
            payload: new TextEncoder().encode(JSON.stringify({ roomId }))
          })
        ))
        const found = yield* Fixtures.eventually("dead letters", letters.list(), ({ length }) => length === 3)
        for (const letter of found) {
          assert.deepInclude(letter, { topic: name, attempts: 2, unreadable: undefined, isTombstone: false })
          assert.include(letter.reason, "note")
          assert.strictEqual(letter.message.headers.tenant, "größe")
        }
        assert.strictEqual((yield* letters.count()).reduce((sum, { count }) => sum + count, 0), 3)
        assert.strictEqual((yield* letters.inspect("red")).pipe((one) => one._tag), "Some")
        assert.strictEqual(yield* letters.discard({ ids: ["red"] }), 1)
        assert.deepStrictEqual((yield* letters.list()).map(({ id }) => id).sort(), ["blue", "green"])
        isBroken = false
        assert.deepInclude(yield* letters.redrive({ key: "blue" }), { done: 1, kept: 0 })
        yield* Fixtures.eventually("it is handled", Effect.sync(() => handled), (all) => all.includes(`${broken}:blue`))
        assert.deepInclude(yield* letters.redrive({}), { done: 1, kept: 0 })
        yield* Fixtures.eventually(
          "it is handled",
          Effect.sync(() => handled),
          (all) => all.includes(`${broken}:green`)
        )
        assert.deepStrictEqual(yield* letters.list(), [])
        // the other group has passed by the redriven ones when it has what came behind them
        yield* broker.publish(rooms.map((roomId) =>
          Fixtures.messageOf({
            topic: name,
            key: roomId,
            name: "room_closed",
            payload: new TextEncoder().encode(JSON.stringify({ roomId: `${roomId} again` }))
          })
        ))
        yield* Fixtures.eventually(
          "all is handled",
          Effect.sync(() => handled.filter((one) => one.endsWith("again"))),
          ({ length }) => length === 6
        )
        assert.deepStrictEqual(
          handled.filter((one) => one.startsWith(well)).map((one) => one.slice(well.length + 1)).sort(),
          [...rooms, ...rooms.map((room) => `${room} again`)].sort()
        )
      }).pipe(Effect.provide(layer())),
    60_000
  )
})
