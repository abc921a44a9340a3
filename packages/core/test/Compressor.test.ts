import { Compressor } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import * as zlib from "node:zlib"

const text = (length: number) => new Uint8Array(length).fill(97)
const bytes = fc.oneof(fc.uint8Array({ maxLength: 2000 }), fc.nat(20_000).map(text))

for (const compressor of Compressor.defaults) {
  describe(compressor.encoding, () => {
    it.effect.prop(
      "gives back what it was given",
      [bytes],
      ([given]) =>
        Effect.gen(function*() {
          const back = yield* Effect.flatMap(compressor.compress(given), (one) => compressor.decompress(one, 1 << 20))
          assert.deepStrictEqual([...back], [...given])
        }),
      { fastCheck: { numRuns: 30 } }
    )

    it.effect("yields exactly the limit, and refuses one byte more", () =>
      Effect.gen(function*() {
        const packed = yield* compressor.compress(text(5000))
        assert.strictEqual((yield* compressor.decompress(packed, 5000)).length, 5000)
        const error = yield* Effect.flip(compressor.decompress(packed, 4999))
        assert.strictEqual(error.reason, "TooLarge")
        assert.include(error.message, "maxDecompressedBytes")
      }))

    it.effect("refuses everything but nothing with a limit of 0", () =>
      Effect.gen(function*() {
        const packed = yield* compressor.compress(text(1))
        assert.strictEqual((yield* Effect.flip(compressor.decompress(packed, 0))).reason, "TooLarge")
        const empty = yield* compressor.compress(text(0))
        assert.strictEqual((yield* compressor.decompress(empty, 0)).length, 0)
      }))

    if (compressor.encoding === "identity") return

    it.effect("makes text smaller", () =>
      Effect.map(compressor.compress(text(10_000)), (packed) => assert.isBelow(packed.length, 200)))

    it.effect("says Corrupt of what it did not make, and of what was cut off, without saying what it was", () =>
      Effect.gen(function*() {
        const packed = yield* compressor.compress(new TextEncoder().encode("secret".repeat(100)))
        for (const broken of [new TextEncoder().encode("secret secret secret"), packed.slice(0, packed.length - 5)]) {
          const error = yield* Effect.flip(compressor.decompress(broken, 1 << 20))
          assert.strictEqual(error.reason, "Corrupt")
          assert.notInclude(error.message, "secret")
        }
      }))

    it.effect("refuses a bomb without having made what is in it", () =>
      Effect.gen(function*() {
        const size = 512 * 1024 * 1024
        const bomb = yield* Effect.promise(() => makeBomb(compressor.encoding, size))
        const before = process.memoryUsage().arrayBuffers
        const error = yield* Effect.flip(compressor.decompress(bomb, 1024 * 1024))
        assert.strictEqual(error.reason, "TooLarge")
        assert.isBelow(process.memoryUsage().arrayBuffers - before, 64 * 1024 * 1024)
      }), 30_000)
  })
}

/** Many zeros, made in pieces. */
const makeBomb = async (encoding: string, size: number): Promise<Uint8Array> => {
  const stream = encoding === "gzip"
    ? zlib.createGzip()
    : encoding === "zlib"
    ? zlib.createDeflate()
    : zlib.createBrotliCompress({ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } })
  const piece = new Uint8Array(1024 * 1024)
  const chunks: Array<Buffer> = []
  stream.on("data", (chunk: Buffer) => chunks.push(chunk))
  for (let written = 0; written < size; written += piece.length) {
    if (!stream.write(piece)) await new Promise((resolve) => stream.once("drain", resolve))
  }
  stream.end()
  await new Promise((resolve) => stream.once("end", resolve))
  return Buffer.concat(chunks)
}

describe("compatibility", () => {
  it.effect("gzip, zlib and brotli read what zlib's own functions write", () =>
    Effect.gen(function*() {
      const given = new TextEncoder().encode("hello")
      for (
        const [compressor, packed] of [
          [Compressor.gzip(), zlib.gzipSync(given)],
          [Compressor.deflate(), zlib.deflateSync(given)],
          [Compressor.brotli(), zlib.brotliCompressSync(given)]
        ] as const
      ) {
        assert.strictEqual(new TextDecoder().decode(yield* compressor.decompress(packed, 100)), "hello")
      }
    }))
})
