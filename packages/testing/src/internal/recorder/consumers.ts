import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Entry, Held, Recorder } from "../../Recorder.ts"

/** Who has joined which group, and what they hold. */
export const followingConsumers = (
  record: (entry: Entry) => void
): Pick<Context.Tag.Service<Recorder>, "absent" | "held" | "join"> => {
  const held = new Set<Held>()
  const members = new Set<{ readonly group: string; waits: number; holds: number }>()
  return {
    held: Effect.sync(() => [...held]),
    absent: Effect.sync(() => [...members].filter(({ holds, waits }) => holds + waits === 0).map(({ group }) => group)),
    join: (group) =>
      Effect.sync(() => {
        const member = { group, waits: 0, holds: 0 }
        members.add(member)
        return {
          waiting: (take) =>
            Effect.suspend(() => {
              member.waits += 1
              return Effect.ensuring(take, Effect.sync(() => member.waits -= 1))
            }),
          took: (message, redeliveries) =>
            Effect.map(Clock.currentTimeMillis, (since) => {
              const one: Held = { group, message, redeliveries, since }
              held.add(one)
              member.holds += 1
              return (how) => {
                if (!held.delete(one)) return
                member.holds -= 1
                record({ _tag: "Consumed", group, message, how })
              }
            }),
          left: Effect.sync(() => members.delete(member))
        }
      })
  }
}
