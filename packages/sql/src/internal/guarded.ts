import { TransactionError } from "@effect-cqrs/core/Transaction"
import type { Level } from "@effect-cqrs/core/Transactor"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Begun, Dialect } from "./dialect.ts"

/** What a transaction's connections know of it. */
export interface Fate {
  /** Why it can no longer be committed. */
  lost: TransactionError | undefined
  /** Held by the statement that runs, or by the commit. */
  readonly busy: Effect.Semaphore
  /** Whether it has been neither committed nor rolled back. */
  isOpen: boolean
}

type Control =
  | { readonly _tag: "Savepoint" | "Release" | "RollbackTo"; readonly name: string }
  | { readonly _tag: "Whole"; readonly verb: string }

/** Blanks, comments and empty statements. It always matches, so that it never tries a second way. */
const skipped = /(?:[\s;]|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/y

/** A bare word or a quoted name. */
const token = /([\p{L}_][\p{L}\p{N}_$]*)|"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^\]]*)\]|'((?:[^']|'')*)'/uy

interface Token {
  readonly isWord: boolean
  readonly text: string
}

const tokensOf = (statement: string) => {
  let at = 0
  return (): Token | undefined => {
    skipped.lastIndex = at
    skipped.exec(statement)
    token.lastIndex = skipped.lastIndex
    const match = token.exec(statement)
    if (match === null) return undefined
    at = token.lastIndex
    const [, word, double, back, bracket, single] = match
    const text = word ?? double?.replaceAll("\"\"", "\"") ?? back?.replaceAll("``", "`") ?? bracket ??
      single!.replaceAll("''", "'")
    return { isWord: word !== undefined, text: text.toLowerCase() }
  }
}

const bare = (statement: string): string => {
  skipped.lastIndex = 0
  skipped.exec(statement)
  return statement.slice(skipped.lastIndex)
}

/** Savepoint statements, and those that would begin or end the transaction itself. */
export const controlOf = (statement: string): Control | undefined => {
  const next = tokensOf(statement)
  const verb = next()
  if (verb?.isWord !== true) return undefined
  const isAny = (found: Token | undefined, ...words: ReadonlyArray<string>) =>
    found?.isWord === true && words.includes(found.text)
  const name = (first: Token | undefined): string => {
    const found = isAny(first, "savepoint") ? next() ?? first : first
    return found?.text ?? ""
  }
  switch (verb.text) {
    case "savepoint":
      return { _tag: "Savepoint", name: next()?.text ?? "" }
    case "release":
      return { _tag: "Release", name: name(next()) }
    case "rollback": {
      const second = next()
      const to = isAny(second, "work", "transaction") ? next() : second
      return isAny(to, "to") ? { _tag: "RollbackTo", name: name(next()) } : { _tag: "Whole", verb: "ROLLBACK" }
    }
    case "begin":
    case "commit":
    case "end":
    case "abort":
    case "start":
      return { _tag: "Whole", verb: verb.text.toUpperCase() }
    default:
      return undefined
  }
}

const refuse = (message: string) => Effect.fail(new SqlError({ cause: undefined, message }))

/** What a statement answers that was not executed. */
const nothing: unknown = []

const asSqlError = (error: TransactionError): SqlError => new SqlError({ cause: error, message: error.message })

/**
 * A connection for the statements of one level of a transaction. It refuses those that come after the level's end, those
 * that come after the server has given the transaction up (they would be committed one by one), and those that would end
 * it; and it tells the journal of savepoints, so that events share the fate of the writes beside them.
 */
export const guarded = (options: {
  readonly connection: Connection
  readonly begun: Begun
  readonly level: Level
  readonly fate: Fate
  readonly dialect: Dialect
}): Connection => {
  const { begun, connection, dialect, fate, level } = options
  const refusal = (): TransactionError | undefined =>
    fate.lost ?? (level.ended()
      ? new TransactionError({
        reason: "Ended",
        message:
          "A statement came after the end of its transaction: wait for forked fibers inside Transaction.run, or " +
          "start them in Transaction.afterCommit"
      })
      : undefined)

  const isLost = (error: SqlError) =>
    Effect.map(dialect.transaction.isLost(connection, error), (lost) => {
      if (!lost) return
      fate.lost = new TransactionError({
        reason: "RolledBack",
        message: "The database rolled the transaction back when a statement failed. Nothing of it is stored",
        // a policy that repeats conflicts looks for what it was
        cause: error
      })
    })

  const keep = (control: Control | undefined): void => {
    switch (control?._tag) {
      case "Savepoint":
        return level.journal.savepoint(control.name)
      case "Release":
        return level.journal.release(control.name)
      case "RollbackTo": {
        if (level.journal.rollbackTo(control.name)) return
        fate.lost = new TransactionError({
          reason: "Savepoint",
          message: `ROLLBACK TO ${control.name}: nobody knows which events were added after it. Nothing is stored`
        })
      }
    }
  }

  const guard = <A>(statement: string, run: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> => {
    const control = controlOf(statement)
    // in one piece with what it means: neither a savepoint nor the commit comes in between
    return fate.busy.withPermits(1)(Effect.uninterruptibleMask((restore) => {
      const refused = refusal()
      if (refused !== undefined) {
        // nothing is left to undo, and sql.withTransaction would die of a refusal in place of its own failure
        return control?._tag === "RollbackTo" ? Effect.succeed(nothing as A) : Effect.fail(asSqlError(refused))
      }
      if (control?._tag === "Whole") {
        return refuse(
          `${control.verb} inside Transaction.run: it begins and ends its transaction by itself. Fail to roll it ` +
            "back, or nest a Transaction.run"
        )
      }
      if (control?.name.startsWith("cqrs_") === true) {
        return refuse(`The savepoint ${control.name}: names that begin with cqrs_ are this library's`)
      }
      if (dialect.transaction.commitsImplicitly(bare(statement))) {
        fate.lost = new TransactionError({
          reason: "ImplicitCommit",
          message:
            "A statement inside Transaction.run would have committed what came before it (in MySQL and MariaDB, those " +
            "that change tables, users or locks do): it was refused, and the transaction is rolled back"
        })
        return Effect.fail(asSqlError(fate.lost))
      }
      level.touch()
      return Effect.onInterrupt(restore(run), () => begun.cancel).pipe(
        Effect.tapError(isLost),
        Effect.tap(() => keep(control))
      )
    }))
  }

  return {
    execute: (sql, params, transform) => guard(sql, connection.execute(sql, params, transform)),
    executeRaw: (sql, params) => guard(sql, connection.executeRaw(sql, params)),
    executeValues: (sql, params) => guard(sql, connection.executeValues(sql, params)),
    executeUnprepared: (sql, params, transform) =>
      guard(sql, Effect.suspend(() => connection.executeUnprepared(sql, params, transform))),
    executeStream: (sql, params, transform) =>
      Stream.unwrap(Effect.as(guard(sql, Effect.void), connection.executeStream(sql, params, transform)))
  }
}
