import { TransactionError } from "@effect-cqrs/core/Transaction"
import type { Level } from "@effect-cqrs/core/Transactor"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Begun, Dialect } from "./dialect.ts"
import type { Turn } from "./turn.ts"

/** What a transaction's connections know of it. */
export interface Fate {
  /** Why it can no longer be committed. */
  lost: TransactionError | undefined
  /** Held by the statement that runs, or by the commit. */
  readonly busy: Turn
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
export class Guarded implements Connection {
  constructor(
    private readonly connection: Connection,
    private readonly begun: Begun,
    private readonly level: Level,
    private readonly fate: Fate,
    private readonly dialect: Dialect
  ) {}

  execute(...[sql, params, transform]: Parameters<Connection["execute"]>): ReturnType<Connection["execute"]> {
    return this.guard(sql, () => this.connection.execute(sql, params, transform))
  }

  executeRaw(...[sql, params]: Parameters<Connection["executeRaw"]>): ReturnType<Connection["executeRaw"]> {
    return this.guard(sql, () => this.connection.executeRaw(sql, params))
  }

  executeValues(...[sql, params]: Parameters<Connection["executeValues"]>): ReturnType<Connection["executeValues"]> {
    return this.guard(sql, () => this.connection.executeValues(sql, params))
  }

  executeUnprepared(
    ...[sql, params, transform]: Parameters<Connection["executeUnprepared"]>
  ): ReturnType<Connection["executeUnprepared"]> {
    return this.guard(sql, () => this.connection.executeUnprepared(sql, params, transform))
  }

  executeStream(
    ...[sql, params, transform]: Parameters<Connection["executeStream"]>
  ): ReturnType<Connection["executeStream"]> {
    return Stream.unwrap(
      Effect.as(this.guard(sql, () => Effect.void), this.connection.executeStream(sql, params, transform))
    )
  }

  private guard<A>(statement: string, run: () => Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    const { begun, dialect, fate, level } = this
    const control = controlOf(statement)
    // in one piece with what it means: neither a savepoint nor the commit comes in between
    return fate.busy.hold((restore) => {
      const refused = this.refusal()
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
      return Effect.matchCauseEffect(restore(Effect.suspend(run)), {
        onFailure: (cause) => {
          const error = Option.getOrUndefined(Cause.failureOption(cause))
          const after = error !== undefined
            ? this.lose(error)
            : Cause.isInterruptedOnly(cause)
            ? begun.cancel
            : Effect.void
          return Effect.zipRight(after, Effect.failCause(cause))
        },
        onSuccess: (value) => {
          this.keep(control)
          return Effect.succeed(value)
        }
      })
    })
  }

  private refusal(): TransactionError | undefined {
    return this.fate.lost ?? (this.level.ended()
      ? new TransactionError({
        reason: "Ended",
        message:
          "A statement came after the end of its transaction: wait for forked fibers inside Transaction.run, or " +
          "start them in Transaction.afterCommit"
      })
      : undefined)
  }

  /** Looks whether the server has given the transaction up with a statement. */
  private lose(error: SqlError): Effect.Effect<void> {
    return Effect.map(this.dialect.transaction.isLost(this.connection, error), (lost) => {
      if (!lost) return
      this.fate.lost = new TransactionError({
        reason: "RolledBack",
        message: "The database rolled the transaction back when a statement failed. Nothing of it is stored",
        // a policy that repeats conflicts looks for what it was
        cause: error
      })
    })
  }

  private keep(control: Control | undefined): void {
    const { journal } = this.level
    switch (control?._tag) {
      case "Savepoint":
        return journal.savepoint(control.name)
      case "Release":
        return journal.release(control.name)
      case "RollbackTo": {
        if (journal.rollbackTo(control.name)) return
        this.fate.lost = new TransactionError({
          reason: "Savepoint",
          message: `ROLLBACK TO ${control.name}: nobody knows which events were added after it. Nothing is stored`
        })
      }
    }
  }
}
