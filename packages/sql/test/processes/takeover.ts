import { Clock, Effect } from "effect"
import { type Child, eventually } from "./harness.ts"
import type { Recorded } from "./recording.ts"
import { accounts, bucketOf, type World } from "./world.ts"

/** Waits until a relay has delivered that many events from now on. */
export const delivered = (world: World, relay: string, count: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (since) =>
    eventually(
      `${relay} delivers ${count} events`,
      Effect.map(world.deliveries, (all) =>
        all.filter((one) => one.relay === relay && one.at >= since).length >= count ? true : undefined)
    ))

/**
 * Does something to a relay, and says how long it took from then on, in milliseconds, until others had delivered something
 * of each account in the buckets that it had. Somebody has to announce things about all of them meanwhile.
 */
export const takeover = <E, R>(
  world: World,
  relay: Child,
  buckets: ReadonlyArray<number>,
  blow: Effect.Effect<unknown, E, R>
) =>
  Effect.gen(function*() {
    const keys = accounts.filter((key) => buckets.includes(bucketOf(key)))
    const since = yield* Clock.currentTimeMillis
    yield* blow
    return yield* eventually(
      `others deliver what was ${relay.name}'s`,
      Effect.map(world.deliveries, (all) => {
        const firsts = keys.map((key) =>
          all.find((one) => one.key === key && one.relay !== relay.name && one.at >= since)
        )
        return firsts.every((one): one is Recorded => one !== undefined)
          ? Math.max(...firsts.map(({ at }) => at)) - since
          : undefined
      })
    )
  })
