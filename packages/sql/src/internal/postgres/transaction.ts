import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { CommitFailure, Dialect } from "../dialect.ts"
import { begun, codeOf, isDisconnected, run } from "../errors.ts"
import { isolations } from "../isolation.ts"

const failedAt = (
  connection: Connection,
  error: SqlError,
  hasFlush: boolean
): Effect.Effect<CommitFailure["at"] | "flush"> =>
  isDisconnected(error)
    ? Effect.succeed("unknown")
    : transaction.isAborted(error)
    ? Effect.succeed("rolledBack")
    : hasFlush
    // COMMIT ends the transaction even when it fails; after a flush that failed it is there still, refusing statements
    ? Effect.match(connection.executeRaw("SELECT 1", []), {
      onFailure: (after) => transaction.isAborted(after) ? "flush" : "refused",
      onSuccess: () => "refused"
    })
    : Effect.succeed("refused")

export const transaction: Dialect["transaction"] = {
  turn: Effect.void,
  begin: ({ connection, isolation }) =>
    Effect.as(
      run(connection, isolation === undefined ? "BEGIN" : `BEGIN ISOLATION LEVEL ${isolations[isolation]}`),
      begun
    ),
  opening: () => undefined,
  // a transaction in which a statement has failed is answered with ROLLBACK, which is no error
  seal: () => Effect.void,
  commit: (connection, { flush }) =>
    Effect.matchEffect(connection.executeRaw(flush === undefined ? "COMMIT" : `${flush}; COMMIT`, []), {
      onFailure: (error) =>
        Effect.flatMap(failedAt(connection, error, flush !== undefined), (at) => Effect.fail({ at, error })),
      onSuccess: (answer) => {
        const result: unknown = Array.isArray(answer) ? answer.at(-1) : answer
        return (result as { readonly command: string }).command === "ROLLBACK"
          ? Effect.fail({
            at: "rolledBack" as const,
            error: new SqlError({ cause: undefined, message: "COMMIT was answered with ROLLBACK" })
          })
          : Effect.void
      }
    }),
  rollback: (connection) => run(connection, "ROLLBACK"),
  // after any error the server refuses what follows by itself, up to a savepoint
  isLost: (_connection, error) => Effect.succeed(isDisconnected(error)),
  isAborted: (error) => codeOf(error) === "25P02",
  commitsImplicitly: () => false,
  isConflict: (error) => ["40001", "40P01"].includes(codeOf(error))
}
