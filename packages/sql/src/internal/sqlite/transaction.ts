import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Timers from "node:timers"
import type { Dialect } from "../dialect.ts"
import { begun, codeOf, run } from "../errors.ts"

const isBusy = (error: unknown): boolean => codeOf(error).startsWith("SQLITE_BUSY")

/** Another process writes: SQLite's own busy timeout would wait for it with the whole of this process. */
const patience = Schedule.spaced("5 millis").pipe(
  Schedule.intersect(Schedule.recurUpTo("5 seconds")),
  Schedule.whileInput(isBusy)
)

export const transaction: Dialect["transaction"] = {
  // SQLite answers while it is asked, and a fiber that waits for nothing else keeps its turn: timers would wait for seconds,
  // and those that want the connection, until the lease of a relay had run out. There is no Effect for a turn of the loop
  turn: Effect.async((resume) => {
    const turn = Timers.setImmediate(() => resume(Effect.void))
    return Effect.sync(() => Timers.clearImmediate(turn))
  }),
  // IMMEDIATE: a transaction that reads first and then writes would otherwise fail at once when another one writes.
  // Prepared once: libsql counts a statement that was refused for a lock as running until the same one runs again, and
  // sets no savepoint meanwhile ("SQL statements in progress")
  begin: ({ connection }) =>
    Effect.retry(connection.execute("BEGIN IMMEDIATE", [], undefined), patience).pipe(
      Effect.zipRight(run(connection, "SAVEPOINT cqrs_guard")),
      Effect.as(begun)
    ),
  opening: () => undefined,
  seal: (connection) =>
    Effect.mapError(run(connection, "RELEASE cqrs_guard"), (error) => ({ at: "rolledBack" as const, error })),
  commit: (connection, { isSealed }) =>
    Effect.zipRight(
      isSealed ? Effect.void : transaction.seal(connection),
      // where there is no WAL, a reader holds it up
      Effect.mapError(
        Effect.retry(connection.execute("COMMIT", [], undefined), patience),
        (error) => ({ at: "refused" as const, error })
      )
    ),
  rollback: (connection) => run(connection, "ROLLBACK"),
  // a transaction cannot begin inside another: if it can, the other is gone
  isLost: (connection) =>
    Effect.matchEffect(run(connection, "BEGIN"), {
      onFailure: () => Effect.succeed(false),
      onSuccess: () => Effect.as(Effect.ignore(run(connection, "ROLLBACK")), true)
    }),
  isAborted: () => false,
  commitsImplicitly: () => false,
  isConflict: isBusy
}
