import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { share } from "../src/internal/share.ts"

const rounds = (living: ReadonlyArray<bigint>, start: ReadonlyArray<bigint | undefined>) => {
  let owners = start.map((relay, bucket) => ({ bucket, relay }))
  // first everybody gives, then everybody takes, as relays do in two of their turns
  for (const what of ["give", "claim", "give", "claim"] as const) {
    for (const me of living) {
      const { [what]: buckets } = share(me, living, owners)
      owners = owners.map((one) =>
        buckets.includes(one.bucket) ? { bucket: one.bucket, relay: what === "give" ? undefined : me } : one
      )
    }
  }
  return owners
}

describe("the share of a relay", () => {
  const relays = fc.uniqueArray(fc.bigInt({ min: 1n, max: 50n }), { minLength: 1, maxLength: 8 })
  const owners = fc.array(fc.option(fc.bigInt({ min: 1n, max: 60n }), { nil: undefined }), {
    minLength: 1,
    maxLength: 70
  })

  it.prop("is fair, and every bucket is owned, wherever the buckets were", [relays, owners], ([living, start]) => {
    const owned = rounds(living, start)
    const sizes = living.map((relay) => owned.filter((one) => one.relay === relay).length)
    assert.strictEqual(sizes.reduce((a, b) => a + b, 0), start.length)
    assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
  })

  it.prop(
    "takes nothing from a relay that lives, and moves nothing that is fair",
    [relays, owners],
    ([living, start]) => {
      const now = start.map((relay, bucket) => ({ bucket, relay }))
      for (const me of living) {
        for (const bucket of share(me, living, now).claim) {
          const { relay } = now[bucket]!
          assert.isTrue(relay === undefined || !living.includes(relay))
        }
      }
      const fair = rounds(living, start)
      for (const me of living) assert.deepStrictEqual(share(me, living, fair), { claim: [], give: [] })
    }
  )

  it("is nothing for a relay that is not among the living", () => {
    assert.deepStrictEqual(share(7n, [1n, 2n], [{ bucket: 0, relay: undefined }, { bucket: 1, relay: 7n }]), {
      claim: [],
      give: []
    })
  })
})
