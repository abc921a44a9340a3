import { assert, describe, it } from "@effect/vitest"
import { crc32Hash, murmur2, murmur2Hash } from "../src/internal/partitioner.ts"
import * as Prefix from "../src/internal/prefix.ts"

describe("partitioner", () => {
  it("hashes as Kafka's Java clients do, by the vectors of their own tests", () => {
    const vectors: ReadonlyArray<readonly [string, number]> = [
      ["21", -973932308],
      ["foobar", -790332482],
      ["a-little-bit-long-string", -985981536],
      ["a-little-bit-longer-string", -1486304829],
      ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
      ["abc", 479470107]
    ]
    for (const [text, hash] of vectors) assert.strictEqual(murmur2Hash(Buffer.from(text)), hash, text)
    assert.strictEqual(murmur2(Buffer.from("21"), 7), (-973932308 & 0x7fffffff) % 7)
  })

  it("has the CRC-32 of IEEE 802.3", () => {
    assert.strictEqual(crc32Hash(Buffer.from("123456789")), 0xcbf43926)
    assert.strictEqual(crc32Hash(Buffer.alloc(0)), 0)
  })
})

describe("prefix", () => {
  it("moves to the first that is not settled, over gaps, and never back", () => {
    const prefix = Prefix.make(5)
    const [a, b, c] = [prefix.add(5, "0"), prefix.add(8, "0"), prefix.add(9, "0")]
    prefix.settle(b)
    assert.strictEqual(prefix.position(), 5)
    prefix.settle(a)
    assert.strictEqual(prefix.position(), 9)
    prefix.settle(c)
    assert.strictEqual(prefix.position(), 10)
    prefix.skipTo(12)
    assert.strictEqual(prefix.position(), 12)
    prefix.skipTo(3)
    assert.strictEqual(prefix.position(), 12)
  })
})
