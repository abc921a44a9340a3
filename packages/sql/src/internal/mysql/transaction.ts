import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Begun, CommitFailure, Dialect } from "../dialect.ts"
import { codeOf, isDisconnected, run, textOf } from "../errors.ts"
import { isolations } from "../isolation.ts"
import { outside } from "../routing.ts"

/**
 * Statements that commit what came before them (MySQL 8.4 manual, 15.3.3). Temporary tables do not.
 */
const implicit = new RegExp(
  "^(alter|create(?!\\s+temporary\\s+table)|drop(?!\\s+temporary\\s+table)|rename|truncate|grant|revoke|" +
    "lock\\s+tables|unlock\\s+tables|analyze|optimize|repair|check\\s+table|cache\\s+index|load\\s+index|flush|reset|" +
    "install|uninstall|set\\s+password)\\b",
  "i"
)

const release = "RELEASE SAVEPOINT cqrs_guard"

const commitFailure = (error: SqlError): CommitFailure => ({
  at: isImplicit(error) ? "implicit" : isDisconnected(error) ? "unknown" : "refused",
  error
})

/** The guard is gone. A trigger that calls a function which does not exist has the same code. */
const isImplicit = (error: SqlError): boolean =>
  codeOf(error) === "ER_SP_DOES_NOT_EXIST" && textOf(error).includes("cqrs_guard")

/**
 * Which of the statements of one text has failed, the driver does not say, and to ask the server for a mark behind each
 * flush costs as much as a statement. These are what COMMIT alone can fail with; what both can, as a conflict that a
 * cluster finds at COMMIT, counts as the flush's.
 */
const isOfCommit = (error: SqlError): boolean =>
  ["ER_ERROR_DURING_COMMIT", "ER_TRANSACTION_ROLLBACK_DURING_COMMIT"].includes(codeOf(error))

/** The driver's own connection, if it is where @effect/sql-mysql2 has it. */
const driverOf = (connection: Connection): object | undefined =>
  "conn" in connection && typeof connection.conn === "object" && connection.conn !== null ? connection.conn : undefined

/** Of connections whose id was asked for. */
const known = new WeakMap<object, Begun>()

const knownOf = (connection: Connection): Begun | undefined => {
  const driver = driverOf(connection)
  return driver === undefined ? undefined : known.get(driver)
}

// With autocommit off nothing is ever committed by a statement of its own: when the server has rolled the transaction
// back (a deadlock's victim), what follows belongs to a new one, which has no guard.
const open = "SET autocommit = 0; SAVEPOINT cqrs_guard"

export const transaction: Dialect["transaction"] = {
  turn: Effect.void,
  begin: ({ connection, isolation, sql }) => {
    const begun = knownOf(connection)
    return Effect.map(
      connection.executeUnprepared(
        (isolation === undefined ? "" : `SET TRANSACTION ISOLATION LEVEL ${isolations[isolation]}; `) +
          open + (begun === undefined ? "; SELECT CONNECTION_ID() AS id" : ""),
        [],
        undefined
      ),
      (results) => {
        if (begun !== undefined) return begun
        const [{ id }] = results.at(-1) as unknown as readonly [{ readonly id: number }]
        const beside = (statement: string) => outside(Effect.ignore(sql.unsafe(statement).unprepared))
        const found: Begun = { cancel: beside(`KILL QUERY ${id}`), destroy: beside(`KILL ${id}`) }
        const driver = driverOf(connection)
        if (driver !== undefined) known.set(driver, found)
        return found
      }
    )
  },
  opening: ({ connection, isolation }) => {
    const begun = knownOf(connection)
    // inside a transaction the level cannot be set again
    return begun === undefined || isolation !== undefined ? undefined : { begun, text: open, count: 2 }
  },
  seal: (connection) => Effect.mapError(run(connection, release), commitFailure),
  commit: (connection, { flush, isSealed }) =>
    Effect.mapError(
      run(
        connection,
        (isSealed ? "" : `${release}; `) + (flush === undefined ? "" : `${flush}; `) + "COMMIT; SET autocommit = 1"
      ),
      (error) => {
        const failure = commitFailure(error)
        return flush === undefined || failure.at !== "refused" || isOfCommit(error) ? failure : { at: "flush", error }
      }
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
