/** `effect-cqrs outbox watch`: the status, live. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Database from "../../internal/database.ts"
import { sentenceOf } from "../../internal/exitCode.ts"
import { age, grouped, print, say } from "../../internal/output.ts"
import * as Settings from "../../internal/settings.ts"
import * as Status from "../../internal/status.ts"

const interval = Settings.duration("interval").pipe(
  Options.withDescription("How often it is read (default: 2 seconds)"),
  Options.optional
)

const times = Options.integer("times").pipe(
  Options.withSchema(Schema.Int.pipe(Schema.positive({ message: () => "--times must be a whole number above 0" }))),
  Options.withDescription("End after so many readings; without it, when it is interrupted"),
  Options.optional
)

/** One line for each reading, where there is no screen. */
const line = ({ at, dead, oldestAgeMillis, pending, rate, relays }: Status.Status): string =>
  `${DateTime.formatIso(at)}  pending ${grouped(pending)}  oldest ${age(oldestAgeMillis)}  dead ${
    grouped(dead)
  }  relays ${relays.filter((one) => one.isAlive).length}` +
  (rate === null ? "" : `  stored ${rate.stored}/s  delivered ${rate.delivered}/s`)

const json = print(Status.Status, () => [])

/** Draws a frame in place of the last one, on a screen of its own that goes away with the scope. */
const screen: Effect.Effect<(lines: ReadonlyArray<string>) => Effect.Effect<void>, never, Scope.Scope> = Effect.gen(
  function*() {
    const write = (text: string) => Effect.sync(() => void process.stdout.write(text))
    yield* Effect.acquireRelease(write("\u001b[?1049h\u001b[?25l"), () => write("\u001b[?25h\u001b[?1049l"))
    return (lines) =>
      Effect.suspend(() => {
        const { columns = 120, rows = 40 } = process.stdout
        // a line that wraps would push the first one out
        const shown = lines.length < rows
          ? lines
          : [...lines.slice(0, rows - 2), `… ${lines.length - rows + 2} lines more`]
        return write(`\u001b[H${shown.map((one) => `${one.slice(0, columns - 1)}\u001b[K\n`).join("")}\u001b[J`)
      })
  }
)

export const watch = Command.make(
  "watch",
  { ...Settings.database, interval, times },
  (options) =>
    Effect.scoped(Effect.gen(function*() {
      const every = Option.getOrElse(options.interval, () => "2 seconds" as const)
      const isScreen = process.stdout.isTTY === true && !options.json
      const draw = isScreen ? yield* screen : undefined
      let last: Status.Reading | undefined
      const once = Effect.gen(function*() {
        const reading = yield* Status.read(last)
        last = reading
        const { status } = reading
        if (draw === undefined) return yield* options.json ? json(status, options) : Console.log(line(status))
        yield* draw([
          `effect-cqrs outbox  ${DateTime.formatIso(status.at)}  (Ctrl-C ends)`,
          "",
          ...Status.render(status)
        ])
      }).pipe(
        // a database that is away for a while is watched on
        Effect.catchTag("StorageError", (error) =>
          last === undefined || error.reason !== "Unavailable"
            ? Effect.fail(error)
            : draw === undefined
            ? say(sentenceOf(error))
            : draw([sentenceOf(error), "", "As it was last read:", "", ...Status.render(last.status)]))
      )
      const readings = Option.getOrElse(options.times, () => Number.POSITIVE_INFINITY)
      for (let n = 1; n <= readings; n++) {
        yield* once
        if (n < readings) yield* Effect.sleep(every)
      }
    })).pipe(
      Effect.provide(Database.storage(options))
    )
).pipe(
  Command.withDescription(Settings.help(
    "Shows the status and keeps it up to date. Without a terminal it prints a line for each reading.",
    "outbox watch",
    "outbox watch --interval \"10 seconds\" --json"
  ))
)
