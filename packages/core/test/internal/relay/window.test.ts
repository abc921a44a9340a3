import type { OutboxStorage } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Windows } from "../../../src/internal/relay/window.ts"
import { entry } from "./entries.ts"

const limit = 16

/** Windows of one bucket, `blockers` that hold keys back, and topics that are out. */
const make = () => {
  const blockers = new Map<string, bigint>()
  const out = new Set<string>()
  const windows = new Windows((topic, key) => blockers.get(`${topic}/${key}`))
  const isOut = (topic: string) => out.has(topic)
  const range = (now: number): OutboxStorage.Range => windows.ranges([0], { now, limit, isOut })[0]!
  const isHeld = ({ message: { key, topic } }: OutboxStorage.Entry) => isOut(topic) || blockers.has(`${topic}/${key}`)
  const read = (
    now: number,
    entries: ReadonlyArray<OutboxStorage.Entry>,
    given: { readonly tail?: bigint; readonly maxBytes?: number } = {}
  ): boolean => {
    const ranges = windows.ranges([0], { now, limit, isOut })
    return windows.learn(ranges, isOut, {
      entries,
      dropped: entries.filter(isHeld),
      limit,
      maxBytes: given.maxBytes ?? 1000,
      tail: given.tail,
      started: now,
      ended: now
    })
  }
  return { windows, blockers, out, isOut, range, read }
}

const several = (count: number, from = 1, given: Parameters<typeof entry>[1] = {}) =>
  Array.from({ length: count }, (_, n) => entry(from + n, given))

describe("Windows", () => {
  it("a bucket is read from its beginning, twice its share of the batch and at least eight", () => {
    const { isOut, windows } = make()
    const limits = (buckets: number) =>
      windows.ranges(Array.from({ length: buckets }, (_, n) => n), { now: 0, limit: 100, isOut }).map((one) =>
        one.limit
      )
    assert.deepStrictEqual(limits(1), [100])
    assert.deepStrictEqual(limits(4), [50, 50, 50, 50])
    assert.deepStrictEqual([...new Set(limits(64))], [8])
    assert.deepStrictEqual(make().range(0), { bucket: 0, limit: 16, except: undefined, after: undefined })
  })

  it("there is more if the batch, its bytes or a bucket's share was full of what can be published", () => {
    const { isOut, read, windows } = make()
    assert.isFalse(read(0, several(15)))
    assert.isTrue(read(0, several(16)))
    assert.isTrue(read(0, several(2, 1, { size: 500 })))
    const ranges = windows.ranges([1, 2, 3, 4], { now: 0, limit, isOut })
    assert.isTrue(windows.learn(ranges, isOut, {
      entries: several(8, 1, { bucket: 1 }),
      dropped: [],
      limit,
      maxBytes: 1000,
      tail: undefined,
      started: 0,
      ended: 0
    }))
  })

  it("a share that was full of what cannot be published is made larger at once", () => {
    const { isOut, windows } = make()
    const buckets = [1, 2, 3, 4]
    const limitOf = () => windows.ranges(buckets, { now: 0, limit, isOut })[0]!.limit
    const learn = (count: number) => {
      const entries = several(count, 1, { bucket: 1, key: undefined })
      return windows.learn(windows.ranges(buckets, { now: 0, limit, isOut }), isOut, {
        entries,
        dropped: entries,
        limit,
        maxBytes: 1000,
        tail: undefined,
        started: 0,
        ended: 0
      })
    }
    assert.isTrue(learn(8))
    assert.strictEqual(limitOf(), 16)
    assert.isFalse(learn(9))
    assert.strictEqual(limitOf(), 16)
    learn(3)
    assert.strictEqual(limitOf(), 8)
  })

  it("a few that are held back are read and dropped; many are left out, with their key", () => {
    const { blockers, range, read, windows } = make()
    blockers.set("rooms/blue", 1n)
    assert.isFalse(read(0, [entry(2)]))
    assert.isUndefined(range(0).except)
    assert.isFalse(windows.leavesOut(0))
    assert.isTrue(read(0, several(2, 2)))
    assert.deepStrictEqual(range(0).except, [{ topic: "rooms", key: "blue", blocker: 1n } as OutboxStorage.TopicKey])
    assert.isTrue(windows.leavesOut(0))
    assert.isFalse(windows.leavesOut(1))
  })

  it("many bytes that are held back are many", () => {
    const { blockers, range, read } = make()
    blockers.set("rooms/blue", 1n)
    assert.isTrue(read(0, [entry(2, { size: 125 })]))
    assert.strictEqual(range(0).except!.length, 1)
  })

  it("what is left out is not scanned again once it was found so two seconds later, but for a full scan", () => {
    const { blockers, range, read, windows } = make()
    blockers.set("rooms/blue", 1n)
    read(0, several(2, 2))
    assert.isTrue(windows.wantsTail([0], 0))
    read(0, [], { tail: 900n })
    assert.isFalse(windows.wantsTail([0], 0))
    assert.isUndefined(range(2000).after)
    read(2000, [], { tail: 950n })
    assert.strictEqual(range(2000).after, 900n)
    assert.isUndefined(range(12_000).after)
  })

  it("a place that was passed over is not given up for a read that ended before it", () => {
    const { blockers, range, read } = make()
    blockers.set("rooms/blue", 1n)
    read(0, several(2, 2))
    read(0, [], { tail: 900n })
    read(2000, [], { tail: 900n })
    read(2500, several(16, 300, { key: "red", bucket: 1 }))
    read(4500, several(16, 300, { key: "red", bucket: 1 }))
    assert.strictEqual(range(4500).after, 900n)
  })

  it("lets go of a key when its blocker is gone, and reads again what was behind it", () => {
    const { blockers, range, read, windows } = make()
    blockers.set("rooms/blue", 500n)
    read(0, several(2, 501))
    read(0, [], { tail: 900n })
    read(2000, [], { tail: 900n })
    blockers.set("rooms/blue", 501n)
    windows.review(() => false)
    assert.isUndefined(range(3000).except)
    assert.isUndefined(range(3000).after)
  })

  it("leaves out a topic that is out and in the way, and reads it from the beginning when it is tried again", () => {
    const { isOut, out, range, read, windows } = make()
    out.add("rooms")
    assert.isTrue(read(0, several(4)))
    assert.deepStrictEqual(windows.exceptTopics(isOut), ["rooms"])
    read(0, [], { tail: 900n })
    read(2000, [], { tail: 900n })
    assert.strictEqual(range(3000).after, 900n)
    out.clear()
    assert.deepStrictEqual(windows.exceptTopics(isOut), [])
    assert.isUndefined(range(3000).after)
  })

  it("a topic that is tried again and of which nothing is there is not in the way any more", () => {
    const { out, range, read, windows } = make()
    out.add("rooms")
    read(0, several(4))
    out.clear()
    assert.isTrue(windows.leavesOut(0))
    read(3000, [entry(50, { topic: "openings" })])
    assert.isFalse(windows.leavesOut(0))
    assert.isUndefined(range(6000).after)
  })

  it("one topic that is back lets go of all places: nobody knows where its entries are", () => {
    const { out, range, read, windows } = make()
    out.add("rooms")
    read(0, several(4))
    read(0, [], { tail: 900n })
    read(2000, [], { tail: 900n })
    windows.review((topic) => topic !== "rooms")
    assert.isUndefined(range(3000).after)
    assert.isFalse(windows.leavesOut(0))
  })
})
