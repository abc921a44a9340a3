import { IdGenerator } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { uuidv7 } from "../src/internal/uuid.ts"

const format = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const millisOf = (id: string) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

describe("IdGenerator", () => {
  it("makes UUIDs of version 7, whose first 48 bits are the time", () => {
    const future = 0x0190_163d_8694 * 2
    const id = uuidv7(future)
    assert.match(id, format)
    assert.strictEqual(millisOf(id), future)
  })

  it.prop(
    "ids sort in the order of their making, whatever the clock does, and none comes twice",
    [fc.array(fc.integer({ min: 0, max: 2 ** 47 }), { minLength: 2, maxLength: 50 })],
    ([times]) => {
      const ids = times.map(uuidv7)
      for (const id of ids) assert.match(id, format)
      assert.deepStrictEqual(ids, [...ids].sort())
      assert.strictEqual(new Set(ids).size, ids.length)
    }
  )

  it("more than 4096 ids of one millisecond are in order, too", () => {
    const now = 2 ** 47 + 5
    const ids = Array.from({ length: 20_000 }, () => uuidv7(now))
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.deepStrictEqual(ids, [...ids].sort())
    // it borrows the milliseconds that follow, no more than it needs
    assert.isAtMost(millisOf(ids.at(-1)!), now + 10)
  })

  it.effect("is UUIDv7 unless replaced", () =>
    Effect.gen(function*() {
      assert.match((yield* IdGenerator.IdGenerator)(1), format)
      const replaced = yield* Effect.provideService(IdGenerator.IdGenerator, IdGenerator.IdGenerator, String)
      assert.strictEqual(replaced(17), "17")
    }))
})
