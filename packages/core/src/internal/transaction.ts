import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Message } from "../Message.ts"
import type { Transaction } from "../Transaction.ts"
import type { Journal, Level, Session, Transactor } from "../Transactor.ts"
import type { Emission } from "./handling.ts"
import { TransactionError } from "./transactionError.ts"

type Entry =
  | { readonly _tag: "Message"; readonly message: Message }
  | { readonly _tag: "Emission"; readonly emission: Emission }
  | { readonly _tag: "AfterCommit"; readonly effect: Effect.Effect<unknown> }
  | { readonly _tag: "AfterRollback"; readonly effect: Effect.Effect<unknown> }

/** What was added to a transaction, in order, with the places of its savepoints: a copy of the database's own stack. */
export class TransactionJournal implements Journal {
  private entries: Array<Entry> = []
  private marks: Array<{ readonly name: string; readonly at: number }> = []

  add(entry: Entry): void {
    this.entries.push(entry)
  }

  savepoint = (name: string): void => {
    this.marks.push({ name, at: this.entries.length })
  }

  release = (name: string): void => {
    const index = this.find(name)
    if (index >= 0) this.marks.length = index
  }

  rollbackTo = (name: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const index = this.find(name)
      if (index < 0) return Effect.void
      this.marks.length = index + 1
      return this.undo(this.marks[index]!.at)
    })

  rollback: Effect.Effect<void> = Effect.suspend(() => this.undo(0))

  get messages(): ReadonlyArray<Message> {
    return this.entries.flatMap((entry) => entry._tag === "Message" ? [entry.message] : [])
  }

  /** Hooks and events in the order they were added, after the commit. */
  committed(run: (entries: ReadonlyArray<Emission | Effect.Effect<void>>) => Effect.Effect<void>): Effect.Effect<void> {
    return run(this.entries.flatMap((entry): ReadonlyArray<Emission | Effect.Effect<void>> => {
      switch (entry._tag) {
        case "AfterCommit":
          return [harmless(entry.effect, "An after-commit hook died. The transaction stays committed.")]
        case "Emission":
          return [entry.emission]
        default:
          return []
      }
    }))
  }

  // like the database, the latest of several savepoints of one name
  private find(name: string): number {
    return this.marks.map((mark) => mark.name).lastIndexOf(name)
  }

  private undo(at: number): Effect.Effect<void> {
    const undone = this.entries.splice(at).reverse()
    return Effect.forEach(
      undone,
      (entry) =>
        entry._tag === "AfterRollback"
          ? harmless(entry.effect, "An after-rollback hook died. The transaction stays rolled back.")
          : Effect.void,
      { discard: true }
    )
  }
}

const harmless = (effect: Effect.Effect<unknown>, message: string): Effect.Effect<void> =>
  Effect.catchAllCause(
    Effect.asVoid(effect),
    (cause) => Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logError(message, cause)
  )

/** The service behind the type `Transaction`: one level of an open transaction. */
export class OpenTransaction implements Level {
  private isEnded = false
  /** Savepoints nest, so that what wants to nest inside this level waits for its turn. */
  readonly turn = Effect.unsafeMakeSemaphore(1)

  constructor(
    readonly transactor: Context.Tag.Service<Transactor>,
    readonly session: Session,
    readonly journal: TransactionJournal,
    readonly depth: number,
    readonly parent: OpenTransaction | undefined,
    /** The transaction, of whatever transactor, that was open where this one was opened. */
    readonly surrounding: OpenTransaction | undefined
  ) {}

  /** Why the transaction can no longer be committed: a savepoint could not be released or rolled back to. */
  doomed: TransactionError | undefined

  doom(error: TransactionError): void {
    this.doomed = error
    this.parent?.doom(error)
  }

  ended = (): boolean => this.isEnded || (this.parent?.ended() ?? false)

  end(): void {
    this.isEnded = true
  }
}

export const transactionTag = Context.GenericTag<Transaction, OpenTransaction>("@effect-cqrs/core/Transaction")

export const openTransaction = (fiber: Fiber.RuntimeFiber<any, any>): OpenTransaction | undefined =>
  fiber.currentContext.unsafeMap.get(transactionTag.key)

export const endedError = (what: string): TransactionError =>
  new TransactionError({
    reason: "Ended",
    message: `${what} after the end of its transaction: wait for forked fibers inside Transaction.run, or let them ` +
      "open a transaction of their own"
  })
