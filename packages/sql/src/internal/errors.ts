import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Begun } from "./dialect.ts"

/** The driver's error code, however deep it is wrapped. */
export const codeOf = (error: unknown, depth = 0): string => {
  // a cause may be its own cause
  if (typeof error !== "object" || error === null || depth > 16) return ""
  if ("code" in error && typeof error.code === "string") return error.code
  return "cause" in error ? codeOf(error.cause, depth + 1) : ""
}

/** All messages of an error and what caused it. */
export const textOf = (error: unknown, depth = 0): string => {
  if (typeof error !== "object" || error === null || depth > 16) return ""
  return ("message" in error ? `${String(error.message)} ` : "") +
    ("cause" in error ? textOf(error.cause, depth + 1) : "")
}

/** Runs a statement as text; what a driver throws while it prepares it is a failure like any other. */
export const run = (connection: Connection, statement: string): Effect.Effect<void, SqlError> =>
  Effect.catchAllDefect(
    Effect.suspend(() => Effect.asVoid(connection.executeUnprepared(statement, [], undefined))),
    (cause) => Effect.fail(new SqlError({ cause, message: "Failed to execute statement" }))
  )

/** The connection is gone, and with it what was open on it. */
export const isDisconnected = (error: unknown): boolean =>
  [
    "PROTOCOL_CONNECTION_LOST",
    "ER_SERVER_SHUTDOWN",
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "ECONNREFUSED",
    "57P01",
    "57P02",
    "08006",
    "08003"
  ]
    .includes(codeOf(error)) ||
  // MariaDB's own 1927 has no name in the driver
  /connection (terminated|ended|closed|is closed|was killed|not queryable)|closed state/i.test(textOf(error))

/** The driver needs no help. */
export const begun: Begun = { cancel: Effect.void, destroy: Effect.void }
