import { TransactionConnection } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { CommitFailure, Dialect } from "../dialect.ts"
import { codeOf, isDisconnected, run } from "../errors.ts"
import { isolations } from "../isolation.ts"

/**
 * Statements that commit what came before them (MySQL 8.4 manual, 15.3.3). Temporary tables do not.
 */
const implicit = new RegExp(
  "^(alter|create(?!\\s+temporary\\s+table)|drop(?!\\s+temporary\\s+table)|rename|truncate|grant|revoke|" +
    "lock\\s+tables|unlock\\s+tables|analyze|optimize|repair|check\\s+table|cache\\s+index|load\\s+index|flush|reset|" +
    "install|uninstall|set\\s+password)\\b",
  "i"
)

const commitFailure = (error: SqlError): CommitFailure => ({
  at: codeOf(error) === "ER_SP_DOES_NOT_EXIST" ? "implicit" : isDisconnected(error) ? "unknown" : "refused",
  error
})

export const transaction: Dialect["transaction"] = {
  // With autocommit off nothing is ever committed by a statement of its own: when the server has rolled the transaction
  // back (a deadlock's victim), what follows belongs to a new one, which has no guard.
  begin: ({ connection, isolation, sql }) =>
    Effect.map(
      connection.executeUnprepared(
        (isolation === undefined ? "" : `SET TRANSACTION ISOLATION LEVEL ${isolations[isolation]}; `) +
          "SET autocommit = 0; SAVEPOINT cqrs_guard; SELECT CONNECTION_ID() AS id",
        [],
        undefined
      ),
      (results) => {
        const [{ id }] = results.at(-1) as unknown as readonly [{ readonly id: number }]
        const outside = (statement: string) =>
          Effect.mapInputContext(
            Effect.ignore(sql.unsafe(statement).unprepared),
            (context: Context.Context<never>) => Context.omit(TransactionConnection)(context) as Context.Context<never>
          )
        return { cancel: outside(`KILL QUERY ${id}`), destroy: outside(`KILL ${id}`) }
      }
    ),
  seal: (connection) => Effect.mapError(run(connection, "RELEASE SAVEPOINT cqrs_guard"), commitFailure),
  commit: (connection, { isSealed }) =>
    Effect.mapError(
      run(connection, (isSealed ? "" : "RELEASE SAVEPOINT cqrs_guard; ") + "COMMIT; SET autocommit = 1"),
      commitFailure
    ),
  // ROLLBACK first: switching autocommit on would commit what is left
  rollback: (connection) =>
    Effect.retry(run(connection, "ROLLBACK; SET autocommit = 1"), {
      // a KILL QUERY that came too late for its statement is meant for none
      while: (error) => codeOf(error) === "ER_QUERY_INTERRUPTED",
      times: 3
    }),
  isLost: (_connection, error) => Effect.succeed(codeOf(error) === "ER_LOCK_DEADLOCK" || isDisconnected(error)),
  isAborted: () => false,
  commitsImplicitly: (statement) => implicit.test(statement),
  isConflict: (error) => ["ER_LOCK_DEADLOCK", "ER_LOCK_WAIT_TIMEOUT", "ER_CHECKREAD"].includes(codeOf(error))
}
