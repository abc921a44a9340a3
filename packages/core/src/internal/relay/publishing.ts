import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Broker, Outcome } from "../../Broker.ts"
import type { Membership } from "../../BucketOwner.ts"
import type { Entry } from "../../OutboxStorage.ts"
import type { Published } from "./judgement.ts"

/** How long the refusals of a destination may hold up a lane, in milliseconds. */
const patience = 1000

/** How a lane asks the broker. */
export const makePublishing = (
  broker: Pick<Context.Tag.Service<Broker>, "publish">,
  membership: Membership,
  isDoubtful: (topic: string) => boolean
) => {
  /** A broker that dies, or gives too few answers, has delivered nothing as far as anybody knows. */
  const ask = (entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Published>> =>
    Effect.map(
      Effect.catchAllDefect(
        broker.publish(entries.map(({ message }) => message)),
        (defect) =>
          Effect.as(
            Effect.logError("The broker adapter died while it published a batch", Cause.die(defect)),
            entries.map(() => Outcome.Retriable({ scope: "broker", reason: "The broker adapter died" }))
          )
      ),
      (outcomes) =>
        entries.map((entry, i) => ({
          entry,
          outcome: outcomes[i] ?? Outcome.Retriable({ scope: "broker", reason: "The broker gave no answer" })
        }))
    )

  const isTrusted = (own: bigint): Effect.Effect<boolean> =>
    Effect.zipWith(
      membership.holding,
      Clock.currentTimeNanos,
      (holding, now) => holding.token === own && now < holding.trustedUntil
    )

  /** Ends when the lease does, whatever it was lengthened to in the meantime. */
  const untilLost = (own: bigint): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.zip(membership.holding, Clock.currentTimeNanos),
      ([holding, now]) =>
        holding.token !== own || holding.trustedUntil <= now
          ? Effect.void
          : Effect.zipRight(
            Effect.sleep(Duration.nanos(holding.trustedUntil - now)),
            Effect.suspend(() => untilLost(own))
          )
    )

  const whileTrusted = (entries: ReadonlyArray<Entry>, own: bigint): Effect.Effect<ReadonlyArray<Published>> =>
    Effect.raceFirst(
      ask(entries),
      Effect.zipRight(
        untilLost(own),
        Effect.as(
          Effect.logWarning("The relay's lease ran out while it published: that may be published again"),
          []
        )
      )
    )

  /**
   * Publishes while the lease is trusted: an adapter starts nothing behind the window, and is interrupted at its end. What
   * became of that is unknown, and no part of the answer.
   */
  const publish = (entries: ReadonlyArray<Entry>, own: bigint): Effect.Effect<ReadonlyArray<Published>> =>
    entries.length === 0 ? Effect.succeed([]) : Effect.flatMap(
      isTrusted(own),
      (isGood) => !isGood ? Effect.succeed([]) : own === 0n ? ask(entries) : whileTrusted(entries, own)
    )

  /**
   * One after the other. A broker that takes none of the first two is out. A destination that is in doubt, takes none of
   * its first two and takes its time over that is not asked for the others: they would hold up the lane.
   */
  const oneByOne = (entries: ReadonlyArray<Entry>, own: bigint): Effect.Effect<ReadonlyArray<Published>> =>
    Effect.gen(function*() {
      const results: Array<Published> = []
      const doubts = new Map<string, { taken: number; refused: number }>()
      const began = yield* Clock.currentTimeMillis
      for (const entry of entries) {
        const { topic } = entry.message
        const doubt = doubts.get(topic) ?? { taken: 0, refused: 0 }
        doubts.set(topic, doubt)
        const isHopeless = doubt.taken === 0 && doubt.refused >= 2 && isDoubtful(topic)
        if (isHopeless && (yield* Clock.currentTimeMillis) - began >= patience) continue
        const [one] = yield* publish([entry], own)
        // the lease has run out
        if (one === undefined) break
        results.push(one)
        if (one.outcome._tag === "Retriable") doubt.refused += 1
        else doubt.taken += 1
        const isOut = results.length === 2 &&
          results.every(({ outcome }) => outcome._tag === "Retriable" && outcome.scope === "broker")
        if (isOut) break
      }
      return results
    })

  return { publish, oneByOne }
}
