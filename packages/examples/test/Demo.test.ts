/** The whole program on embedded SQLite, in this process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { type Counts, isSound, run } from "../src/meeting-rooms/Demo.ts"
import { generate } from "../src/meeting-rooms/Input.ts"
import { Program } from "../src/meeting-rooms/Program.ts"

describe("the demo", () => {
  it.live("gives timers a turn while it handles commands", () =>
    Effect.gen(function*() {
      const counts = yield* Ref.make<Counts>({ succeeded: 0, refused: 0, rolledBack: 0, malformed: 0 })
      const total = 300
      const seen: Array<number> = []
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          setInterval(() => {
            const { refused, rolledBack, succeeded } = Effect.runSync(counts)
            seen.push(succeeded + refused + rolledBack)
          }, 1)
        ),
        (interval) => Effect.sync(() => clearInterval(interval))
      )
      const report = yield* run(generate({ commands: total, rooms: 10, seed: 1 }), {
        counts,
        onMalformed: () => Effect.void
      })
      assert.isTrue(isSound(report))
      const onTheWay = new Set(seen.filter((done) => done > 0 && done < total))
      assert.isAbove(onTheWay.size, 10)
    }).pipe(
      Effect.scoped,
      Effect.provide(Program({ run: "test", database: "sqlite", broker: "memory", file: ":memory:" }))
    ))
})
