import { Codec } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"

const envelope: Codec.Envelope = { id: "1", name: "n", kind: "ecst", version: 1, topic: "t", time: 0 }

describe("Codec.json", () => {
  it.effect.prop(
    "gives back every JSON value",
    [fc.jsonValue({ noUnicodeString: false })],
    ([value]) =>
      Effect.gen(function*() {
        const bytes = yield* Codec.json.encode(value, envelope)
        // JSON has no negative zero
        assert.deepStrictEqual(yield* Codec.json.decode(bytes, envelope), JSON.parse(JSON.stringify(value)))
      }),
    { fastCheck: { numRuns: 100 } }
  )

  it.effect("writes UTF-8", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual([...yield* Codec.json.encode("ü", envelope)], [0x22, 0xc3, 0xbc, 0x22])
    }))

  it.effect("refuses what has no JSON form, without showing it", () =>
    Effect.gen(function*() {
      const circle: Record<string, unknown> = { secret: 1 }
      circle.self = circle
      for (const value of [1n, circle, undefined, () => "secret"]) {
        const error = yield* Effect.flip(Codec.json.encode(value, envelope))
        assert.strictEqual(error.reason, "Unencodable")
        assert.notInclude(error.message, "secret")
      }
    }))

  it.effect("refuses what is not JSON or not UTF-8, without showing it", () =>
    Effect.gen(function*() {
      for (const bytes of [new TextEncoder().encode("{secret"), new Uint8Array([0x22, 0xff, 0x22]), new Uint8Array()]) {
        const error = yield* Effect.flip(Codec.json.decode(bytes, envelope))
        assert.strictEqual(error.reason, "Undecodable")
        assert.notInclude(error.message, "secret")
      }
    }))
})
