import { Broker, Event, EventEmitter, OutboxStorage, Serialization } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { defectOf } from "./fixtures.ts"

describe("an option that cannot be is a sentence when the layer is built", () => {
  const refused: ReadonlyArray<readonly [string, Layer.Layer<never>]> = [
    ["The maxDepth of EventEmitter.layerPolicy is 0", EventEmitter.layerPolicy({ maxDepth: 0 })],
    ["The maxDepth of EventEmitter.layerPolicy is NaN", EventEmitter.layerPolicy({ maxDepth: NaN })],
    ["The concurrency of EventEmitter.layerPolicy is 0", EventEmitter.layerPolicy({ concurrency: 0 })],
    ["The concurrency of EventEmitter.layerPolicy is 1.5", EventEmitter.layerPolicy({ concurrency: 1.5 })],
    ["The buckets of OutboxStorage.layerMemory is 0", OutboxStorage.layerMemory({ buckets: 0 })],
    ["The capacity of Broker.layerMemory is -1", Broker.layerMemory({ capacity: -1 })],
    ["The maxPayloadBytes of Serialization.layer is NaN", Serialization.layer({ maxPayloadBytes: NaN })],
    ["The maxDecompressedBytes of Serialization.layer is 0", Serialization.layer({ maxDecompressedBytes: 0 })],
    ["The compressFrom of Serialization.layer is -1", Serialization.layer({ compressFrom: -1 })]
  ]
  for (const [sentence, layer] of refused) {
    it.effect(sentence, () =>
      Effect.gen(function*() {
        const defect = defectOf(yield* Effect.exit(Effect.scoped(Layer.build(layer))))
        assert.instanceOf(defect, Error)
        assert.include(defect.message, `${sentence}: it must be a whole number from`)
      }))
  }

  it.effect("and one that can be is taken", () =>
    Effect.asVoid(Effect.scoped(Layer.build(Layer.mergeAll(
      EventEmitter.layerPolicy({ maxDepth: 1, concurrency: "unbounded" }),
      EventEmitter.layerPolicy({}),
      OutboxStorage.layerMemory({ buckets: 1 }),
      Broker.layerMemory({ capacity: 1 }),
      Serialization.layer({ maxPayloadBytes: 1, maxDecompressedBytes: 1, compressFrom: 0 })
    )))))
})

describe("an event that cannot be is a sentence where it is defined", () => {
  const define = (name: string, topic: string, version: number) => () =>
    [Event.notification, Event.ecst].map((make) => {
      class Defined extends make<Defined>()(name, { topic, payload: { a: Schema.String }, version }) {}
      return Defined
    })
  for (const version of [0, -1, 1.5, NaN]) {
    it(`of version ${version}`, () =>
      assert.throws(
        define("defined", "topic", version),
        `The version of the event defined is ${version}: it must be a whole number from 1`
      ))
  }
  it("without a name, or without a topic", () => {
    assert.throws(define("", "topic", 1), /The name of a notification event is "": it must be a text/)
    assert.throws(define("defined", " ", 1), /The topic of the event defined is " ": it must be a text/)
    assert.throws(() => Event.domain<never>()("" as string), /The name of a domain event/)
  })
  it("with a key lock and without a key", () =>
    assert.throws(() => {
      // the compiler refuses it, too
      const options = { topic: "topic", keyLock: true as false }
      class Locked extends Event.notification<Locked>()("locked", options) {}
      return Locked
    }, /The event locked asks for a keyLock and has no key: give it a `key`, or leave the lock out/))
  it("and one that can be is defined", () => assert.doesNotThrow(define("defined", "topic", 2)))
})
