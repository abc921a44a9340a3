import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import * as Holding from "../src/internal/holding.ts"
import * as Prefix from "../src/internal/prefix.ts"

const recordOf = (offset: number) => ({
  offset: String(offset),
  timestamp: "0",
  key: Buffer.from(`key ${offset}`),
  value: Buffer.alloc(0)
})

const setup = (window: number, partitions: ReadonlyArray<number>) => {
  const holding = Holding.make({
    window,
    deliver: (topic, partition, { offset }) => ({
      message: undefined,
      unreadable: `${topic}/${partition}/${offset}`,
      isTombstone: false,
      redeliveries: 0,
      forward: () => Effect.dieMessage("not forwarded")
    } as unknown as ReturnType<Holding.Options["deliver"]>),
    laneOf: () => undefined,
    onProgress: () => {}
  })
  holding.assign({ topic: partitions })
  return {
    holding,
    fetch: (partition: number, from: number, count: number) =>
      holding.receive({
        topic: "topic",
        partition,
        from,
        last: from + count - 1,
        end: from + count,
        records: Array.from({ length: count }, (_, n) => recordOf(from + n))
      }),
    /** What is handed out now, by partition. */
    take: () =>
      holding.handout.takeAll().map((taken) => ({
        ...taken,
        partition: Number(String(taken.delivery.unreadable).split("/")[1])
      }))
  }
}

describe("what a member holds", () => {
  it("a partition of which nothing is settled leaves the others their share of the window", () => {
    const { fetch, holding, take } = setup(16, [0, 1, 2, 3])
    fetch(0, 0, 1000)
    const stuck = take()
    assert.strictEqual(stuck.length, 10, "its share of 2, and the half that is nobody's")
    const handled = new Map<number, number>()
    for (const partition of [1, 2, 3]) fetch(partition, 0, 100)
    for (let round = 0; round < 100; round++) {
      const taken = take()
      assert.isAtMost(holding.handout.size(), 16)
      for (const { end, partition } of taken) {
        handled.set(partition, (handled.get(partition) ?? 0) + 1)
        end("settled")
      }
    }
    assert.deepStrictEqual([...handled].sort(), [[1, 100], [2, 100], [3, 100]])
    for (const { end } of stuck) end("settled")
    assert.strictEqual(take().length, 10)
  })

  it("room that comes one by one goes to the partitions in turn", () => {
    const { fetch, take } = setup(1, [0, 1])
    fetch(0, 0, 100)
    fetch(1, 0, 100)
    const turns: Array<number> = []
    for (let i = 0; i < 20; i++) {
      for (const { end, partition } of take()) {
        turns.push(partition)
        end("settled")
      }
    }
    assert.strictEqual(turns.filter((partition) => partition === 1).length, 10)
  })

  it("what is fetched of one that stands still is no reason to fetch no more of the others", () => {
    const { fetch, holding } = setup(4, [0, 1])
    assert.isFalse(holding.hasRoom(fetch(0, 0, 2000)!))
    assert.isTrue(holding.hasRoom(fetch(1, 0, 10)!))
    assert.isTrue(holding.isWanting())
    fetch(1, 10, 2000)
    assert.isFalse(holding.isWanting(), "all are full")
    holding.assign({ topic: [0, 1, 2] })
    assert.isTrue(holding.isWanting(), "of one nothing came yet")
  })

  it("what comes of a partition that it does not have is not taken in, and is there when it has it", () => {
    const { fetch, holding, take } = setup(10, [0])
    assert.isUndefined(fetch(1, 0, 3))
    holding.assign({ topic: [0, 1] })
    assert.isDefined(fetch(1, 0, 3))
    assert.strictEqual(take().length, 3)
  })

  it("a partition that is kept goes on where it was, and one that is lost is nobody's to settle", () => {
    const { fetch, holding, take } = setup(10, [0, 1])
    fetch(0, 0, 3)
    fetch(1, 0, 3)
    const out = take()
    const lost = holding.assign({ topic: [0] })
    assert.deepStrictEqual(lost.map(({ partition }) => partition), [1])
    assert.strictEqual(holding.handout.size(), 3)
    // the group's offset is behind what is held already
    fetch(0, 0, 5)
    const more = take()
    assert.strictEqual(more.length, 2)
    for (const { end } of [...out, ...more]) end("settled")
    assert.deepStrictEqual([...holding.parts()].map(({ prefix }) => prefix.position()), [5])
    assert.strictEqual(lost[0]!.prefix.position(), 0)
  })

  it("what is committed while the first fetch after joining is under way takes nothing back", () => {
    const { fetch, holding, take } = setup(10, [0])
    const part = fetch(0, 0, 6)!
    const out = take()
    holding.assign({ topic: [0] })
    for (const { end } of out.slice(0, 4)) end("settled")
    part.committed = part.prefix.position()
    assert.strictEqual(fetch(0, 0, 8), part)
    assert.deepStrictEqual(take().map(({ delivery }) => delivery.unreadable), ["topic/0/6", "topic/0/7"])
    // but the group's offset was moved back by somebody if it is behind what was committed before
    holding.assign({ topic: [0] })
    assert.notStrictEqual(fetch(0, 3, 8), part)
  })
})

describe("prefix", () => {
  const operations = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant("add" as const), gap: fc.nat(3) }),
      fc.record({ do: fc.constant("settle" as const), which: fc.nat() }),
      fc.record({ do: fc.constant("skip" as const), by: fc.nat(5) })
    ),
    { maxLength: 300, size: "max" }
  )

  it.prop(
    "its position is the first that is not settled, in whatever order they are",
    [fc.nat(1000), operations],
    ([start, operations]) => {
      const prefix = Prefix.make(start)
      let next = start
      let end = start
      const open = new Map<number, ReturnType<typeof prefix.add>>()
      for (const operation of operations) {
        if (operation.do === "add") {
          next += operation.gap
          open.set(next, prefix.add(next, "0"))
          next += 1
          end = next
        } else if (operation.do === "settle" && open.size > 0) {
          const offsets = [...open.keys()]
          const offset = offsets[operation.which % offsets.length]!
          prefix.settle(open.get(offset)!)
          open.delete(offset)
        } else if (operation.do === "skip") {
          next += operation.by
          end = next
          prefix.skipTo(next)
        }
        const expected = open.size > 0 ? Math.min(...open.keys()) : end
        assert.strictEqual(prefix.position(), expected)
      }
      for (const offset of open.keys()) assert.strictEqual(prefix.find(offset)!.offset, offset)
    },
    { fastCheck: { numRuns: 100 } }
  )
})
