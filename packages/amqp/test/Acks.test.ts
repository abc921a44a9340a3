import { assert, describe, it } from "@effect/vitest"
import { Acks } from "../src/internal/acks.ts"

/** RabbitMQ's side: what it waits for, and its refusal of what it does not. */
const server = (delivered: number) => {
  const unacked = new Set(Array.from({ length: delivered }, (_, n) => n + 1))
  const frames: Array<string> = []
  return {
    unacked,
    frames,
    ack: (tag: number, allUpTo: boolean) => {
      assert.isTrue(unacked.has(tag), `unknown delivery tag ${tag}`)
      frames.push(allUpTo ? `..${tag}` : `${tag}`)
      for (const one of allUpTo ? [...unacked].filter((other) => other <= tag) : [tag]) unacked.delete(one)
    }
  }
}

describe("acknowledgements", () => {
  it("are said at once for all that are settled without a gap", () => {
    const channel = server(5)
    const acks = new Acks(channel)
    for (const tag of [2, 1, 3]) acks.settle(tag)
    acks.flush()
    assert.deepStrictEqual(channel.frames, ["..3"])
    assert.deepStrictEqual([...channel.unacked], [4, 5])
  })

  it("leave out what is not settled, and never say one twice", () => {
    const channel = server(6)
    const acks = new Acks(channel)
    for (const tag of [2, 4, 5]) acks.settle(tag)
    acks.flush()
    assert.deepStrictEqual([...channel.unacked], [1, 3, 6])
    acks.settle(1)
    acks.flush()
    assert.deepStrictEqual([...channel.unacked], [3, 6])
    acks.settle(3)
    acks.flush()
    acks.settle(6)
    acks.flush()
    acks.flush()
    assert.strictEqual(channel.unacked.size, 0)
    assert.deepStrictEqual(channel.frames, ["2", "4", "5", "..1", "..3", "..6"])
  })

  it("in any order and any portions are for what was settled, and for nothing else", () => {
    let seed = 7
    const random = (limit: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return seed % limit
    }
    for (let round = 0; round < 200; round++) {
      const channel = server(40)
      const acks = new Acks(channel)
      const open = Array.from({ length: 40 }, (_, n) => n + 1)
      const settled = new Set<number>()
      while (open.length > 5) {
        const [tag] = open.splice(random(Math.min(open.length, 8)), 1)
        acks.settle(tag!)
        settled.add(tag!)
        if (random(3) > 0) continue
        acks.flush()
        assert.isTrue([...channel.unacked].every((one) => !settled.has(one)), "what is settled is said")
        assert.strictEqual(channel.unacked.size, 40 - settled.size)
      }
    }
  })
})
