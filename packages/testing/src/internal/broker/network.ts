import type { Broker } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { messageOf } from "../../Fixtures.ts"
import type { Proxy } from "../../Proxy.ts"
import { assertIds } from "../cases.ts"
import { assertArrived, collect, consume, type Kit, type Load, load, publish } from "./kit.ts"

/** The network fails between a program and its broker. The program on the other side has a broker of its own. */
export const networkCases = <R>({ cases, facts, hold, quiet, until, within }: Kit<R>): void => {
  const it = (name: string, test: (way: Way) => Effect.Effect<void, unknown, Broker | Scope.Scope>) =>
    cases.itWith(
      facts.network,
      name,
      (id, network) =>
        Effect.flatMap(network(id), ({ layer, proxy }) =>
          within(id, facts.layer(id), (topic, group) =>
            Effect.flatMap(Layer.build(layer), (context) =>
              test({ topic, group, proxy, far: Layer.succeedContext(context) }))))
    )

  const farPublisher = ({ far, group, topic }: Way) =>
    Effect.gen(function*() {
      const received = yield* collect(yield* consume([topic], group))
      return { received, publishing: yield* Effect.provide(load(topic), far) }
    })
  const farConsumer = ({ far, group, topic }: Way) =>
    Effect.gen(function*() {
      const received = yield* Effect.provide(Effect.flatMap(consume([topic], group), collect), far)
      return { received, publishing: yield* load(topic) }
    })
  /** What was begun is published, and has arrived. */
  const ended = (publishing: Load, received: ReadonlyArray<Message>) =>
    Effect.gen(function*() {
      yield* publishing.finish
      yield* until(
        () => `each arrives: ${ids(received).size} of ${publishing.sent.length}`,
        () => ids(received).size >= publishing.sent.length
      )
      assertArrived(received, publishing.sent)
    })

  facts.describe("network", () => {
    it(
      "connections are cut while messages are published: each arrives, and publishing goes on by itself",
      (way) =>
        Effect.gen(function*() {
          const { publishing, received } = yield* farPublisher(way)
          const { proxy } = way
          for (let round = 0; round < 3; round++) {
            const before = publishing.delivered.size
            yield* until("messages are delivered", () => publishing.delivered.size >= before + 20)
            yield* proxy.cut
            if (round > 0) {
              const failed = publishing.retriable()
              yield* until("publishing fails", () => publishing.retriable() > failed)
            }
            yield* proxy.restore
          }
          const before = publishing.delivered.size
          yield* until("messages are delivered again", () => publishing.delivered.size >= before + 20)
          yield* ended(publishing, received)
        })
    )

    it(
      "connections are half-open while messages are published: publishing answers, and goes on by itself",
      (way) =>
        Effect.gen(function*() {
          const { publishing, received } = yield* farPublisher(way)
          const { proxy } = way
          yield* until("messages are delivered", () => publishing.delivered.size >= 20)
          yield* proxy.stall
          yield* until("publishing answers while nothing gets through", () => publishing.retriable() > 0)
          yield* proxy.restore
          const before = publishing.delivered.size
          yield* until("messages are delivered again", () => publishing.delivered.size >= before + 20)
          yield* ended(publishing, received)
        })
    )

    it(
      "answers are lost while messages are published: what is said to be delivered is there, and so is all that comes after",
      (way) =>
        Effect.gen(function*() {
          const { publishing, received } = yield* farPublisher(way)
          const { proxy } = way
          for (let round = 0; round < 2; round++) {
            const before = publishing.delivered.size
            yield* until("messages are delivered", () => publishing.delivered.size >= before + 20)
            const failed = publishing.retriable()
            yield* proxy.stallResponses
            yield* until("publishing answers while nothing comes back", () => publishing.retriable() > failed)
            yield* proxy.restore
          }
          const before = publishing.delivered.size
          yield* until("messages are delivered again", () => publishing.delivered.size >= before + 50)
          yield* ended(publishing, received)
        })
    )

    it(
      "connections are cut while messages are consumed: consumption resumes by itself, and nothing is lost",
      (way) =>
        Effect.gen(function*() {
          const { publishing, received } = yield* farConsumer(way)
          const { proxy } = way
          for (let round = 0; round < 3; round++) {
            const before = ids(received).size
            yield* until("messages arrive", () => ids(received).size >= before + 20)
            yield* proxy.cut
            const count = publishing.sent.length
            yield* until("more is published", () => publishing.sent.length >= count + 20)
            yield* proxy.restore
          }
          yield* ended(publishing, received)
        })
    )

    it(
      "a connection is half-open while messages are consumed: consumption resumes by itself, and nothing is lost",
      (way) =>
        Effect.gen(function*() {
          const { publishing, received } = yield* farConsumer(way)
          const { proxy } = way
          yield* until("messages arrive", () => ids(received).size >= 20)
          yield* proxy.stall
          const count = publishing.sent.length
          yield* until("more is published", () => publishing.sent.length >= count + 50)
          yield* publishing.finish
          const during = ids(received).size
          assert.ok(during < publishing.sent.length, "the proxy does not stall")
          yield* proxy.restore
          yield* ended(publishing, received)
        })
    )

    it(
      "what is out while its connection is cut is not overtaken by a later one of its key",
      ({ far, group, proxy, topic }) =>
        Effect.gen(function*() {
          const source = yield* Effect.provide(consume([topic], group), far)
          const sent = [1, 2, 3].map(() => messageOf({ topic, key: "one" }))
          yield* publish(sent)
          const held = yield* hold(source)
          assert.strictEqual(held.message.id, sent[0]!.id)
          yield* proxy.cut
          yield* proxy.restore
          const received = yield* collect(source)
          // until the connection is back, which the other key tells
          const other = messageOf({ topic, key: "other" })
          yield* publish([other])
          yield* until("messages arrive again", () => received.some((message) => message.id === other.id))
          yield* Effect.sleep(quiet)
          const ofKey = () => received.filter((message) => message.key === "one")
          assert.ok(ofKey().length === 0 || ofKey()[0]!.id === sent[0]!.id, "a later one has overtaken it")
          yield* held.settle
          yield* until("all have arrived", () => ids(received).has(sent[2]!.id))
          assertIds("messages", [...new Set([held.message.id, ...ids(ofKey())])], sent.map((message) => message.id))
          assertArrived([held.message, ...ofKey()], sent)
        })
    )
  })
}

interface Way {
  readonly topic: string
  readonly group: string
  readonly proxy: Proxy
  /** The broker through the proxy. */
  readonly far: Layer.Layer<Broker>
}

const ids = (messages: ReadonlyArray<Message>): ReadonlySet<string> => new Set(messages.map((message) => message.id))
