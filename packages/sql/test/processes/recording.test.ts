import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { appendFileSync } from "node:fs"
import { folder } from "../sqlite.ts"
import { follow, record, type Recorded } from "./recording.ts"

const delivery = (version: number): Recorded => ({ id: `a${version}`, key: "a", version, relay: "one", at: version })

it.scopedLive("deliveries are found in the order of their making, as they come; a torn one is none", () =>
  Effect.gen(function*() {
    const file = `${yield* folder}/deliveries`
    const found = follow(file)
    assert.deepStrictEqual(found(), [])
    record(file, [delivery(1), delivery(2)])
    assert.deepStrictEqual(found(), [delivery(1), delivery(2)])
    appendFileSync(file, `\n${JSON.stringify(delivery(3)).slice(0, 20)}`)
    assert.deepStrictEqual(found(), [delivery(1), delivery(2)])
    record(file, [delivery(4)])
    appendFileSync(file, `\n${JSON.stringify(delivery(5)).slice(0, 20)}`)
    assert.deepStrictEqual(found(), [delivery(1), delivery(2), delivery(4)])
    appendFileSync(file, JSON.stringify(delivery(5)).slice(20))
    assert.deepStrictEqual(found(), [delivery(1), delivery(2), delivery(4), delivery(5)])
  }))
