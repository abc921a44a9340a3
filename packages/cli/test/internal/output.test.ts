import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { age, count, printable, shortened, table } from "../../src/internal/output.ts"
import { line } from "../../src/internal/progress.ts"
import { rateOf, type Reading } from "../../src/internal/status.ts"

describe("output", () => {
  it("a table has its columns under their heads, numbers to the right, and no text that moves the cursor", () => {
    assert.deepStrictEqual(table(["TOPIC", "COUNT"], [["rooms", "7"], ["a\u001b[2J", "12"]], ["COUNT"]), [
      "TOPIC       COUNT",
      "rooms           7",
      "a\\u001b[2J     12"
    ])
    assert.strictEqual(printable("a\nb\u202ec"), "a\\u000ab\\u202ec")
  })

  it("ages have two units at the most, and counts their noun", () => {
    assert.deepStrictEqual(
      ["0 millis", "59 seconds", "61 seconds", "25 hours", "3 days"].map((text) =>
        age(Duration.decode(text as Duration.DurationInput))
      ),
      ["0 s", "59 s", "1 min 1 s", "1 d 1 h", "3 d"]
    )
    assert.deepStrictEqual([count(1, "relay"), count(12_345, "dead letter")], ["1 relay", "12,345 dead letters"])
    assert.strictEqual(shortened("abcdef", 4), "abc…")
  })

  it("a bar never says more than all, though more may come than there were", () => {
    assert.strictEqual(line(15, 30), "[###############---------------]  50 %  15 of 30")
    assert.strictEqual(line(31, 30), "[##############################] 100 %  31 of 31")
    assert.match(line(0, 0), /100 %/)
  })

  it("the rate is what the sequence grew by, and what of it is no longer there", () => {
    const before = { tail: 100n, nanos: 0n, status: { pending: 50, dead: 2 } } as Reading
    const after = { tail: 300n, nanos: 2_000_000_000n, pending: 30, dead: 3 }
    assert.deepStrictEqual(rateOf(before, after), { stored: 100, delivered: 109.5, overMillis: Duration.seconds(2) })
    // a purge or a discard of others is no negative rate
    assert.strictEqual(rateOf(before, { ...after, tail: 100n, pending: 80 }).delivered, 0)
  })
})
