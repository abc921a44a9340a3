import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Dialect } from "../dialect.ts"
import { begun, codeOf, isDisconnected, run } from "../errors.ts"
import { isolations } from "../isolation.ts"

export const transaction: Dialect["transaction"] = {
  begin: ({ connection, isolation }) =>
    Effect.as(
      run(connection, isolation === undefined ? "BEGIN" : `BEGIN ISOLATION LEVEL ${isolations[isolation]}`),
      begun
    ),
  // a transaction in which a statement has failed is answered with ROLLBACK, which is no error
  seal: () => Effect.void,
  commit: (connection) =>
    Effect.matchEffect(connection.executeRaw("COMMIT", []), {
      onFailure: (error) => Effect.fail({ at: isDisconnected(error) ? "unknown" as const : "refused" as const, error }),
      onSuccess: (result) =>
        (result as { readonly command: string }).command === "ROLLBACK"
          ? Effect.fail({
            at: "rolledBack" as const,
            error: new SqlError({ cause: undefined, message: "COMMIT was answered with ROLLBACK" })
          })
          : Effect.void
    }),
  rollback: (connection) => run(connection, "ROLLBACK"),
  // after any error the server refuses what follows by itself, up to a savepoint
  isLost: (_connection, error) => Effect.succeed(isDisconnected(error)),
  isAborted: (error) => codeOf(error) === "25P02",
  commitsImplicitly: () => false,
  isConflict: (error) => ["40001", "40P01"].includes(codeOf(error))
}
