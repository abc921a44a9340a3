/** A setting of a server, and what is to be thought of its values. */
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { type Finding, ok, problem, warning } from "../finding.ts"

export interface Setting {
  readonly name: string
  /** A value that is as it should be, by the name that the server gives it. */
  readonly isWell: (value: string) => boolean
  readonly otherwise: "warning" | "problem"
  readonly advice: string
}

/** What is found of some settings; one that this server does not have is left out. */
export const judged = (
  settings: ReadonlyArray<Setting>,
  values: ReadonlyMap<string, string>
): ReadonlyArray<Finding> =>
  settings.flatMap(({ advice, isWell, name, otherwise }) => {
    const value = values.get(name)
    if (value === undefined) return []
    return [isWell(value) ? ok(name, value) : (otherwise === "problem" ? problem : warning)(name, value, advice)]
  })

/** Rows of `name` and `value`. */
export const valuesOf = (sql: SqlClient, statement: string): Effect.Effect<ReadonlyMap<string, string>> =>
  sql.unsafe<{ readonly name: string; readonly value: unknown }>(statement).withoutTransform.pipe(
    Effect.map((rows) => new Map(rows.map(({ name, value }) => [name, String(value)]))),
    // who may not read a setting gets no verdict on it
    Effect.orElseSucceed(() => new Map())
  )

export const mebibytes = (value: string): number => Number(value) / 1024 / 1024
