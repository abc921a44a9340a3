import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Outgoing } from "../OutboxStorage.ts"
import type { Transaction } from "../Transaction.ts"
import type { Journal, Level, Session, Transactor } from "../Transactor.ts"
import type { Emission } from "./handling.ts"
import { TransactionError } from "./transactionError.ts"

type Entry =
  | { readonly _tag: "Message"; readonly message: Outgoing }
  | { readonly _tag: "Emission"; readonly emission: Emission }
  | { readonly _tag: "AfterCommit"; readonly effect: Effect.Effect<unknown> }
  | { readonly _tag: "AfterRollback"; readonly effect: Effect.Effect<unknown> }
  /** Of the library's own: at once, when what it belongs to is rolled back. */
  | { readonly _tag: "Undo"; readonly undo: () => void }
  /** Of the library's own: when nobody knows whether it was committed. */
  | { readonly _tag: "Unknown"; readonly effect: Effect.Effect<void> }

/** What was added to a transaction, in order, with the places of its savepoints: a copy of the database's own stack. */
export class TransactionJournal implements Journal {
  private entries: Array<Entry> = []
  private marks: Array<{ readonly name: string; readonly at: number }> = []
  /** Hooks of what was rolled back, due when the whole is over: until then the connection, if there is only one, is taken. */
  private due: Array<Effect.Effect<void>> = []

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

  rollbackTo = (name: string): boolean => {
    const index = this.find(name)
    if (index < 0) return false
    this.marks.length = index + 1
    this.forget(this.marks[index]!.at)
    return true
  }

  /** After the rollback. */
  rolledBack: Effect.Effect<void> = Effect.suspend(() => {
    this.forget(0)
    return Effect.all(this.due, { discard: true })
  })

  /** After a commit of which nobody knows the outcome: neither hooks nor events are known to be due. */
  unknown: Effect.Effect<void> = Effect.suspend(() =>
    Effect.all(this.entries.flatMap((entry) => entry._tag === "Unknown" ? [entry.effect] : []), { discard: true })
  )

  get messages(): ReadonlyArray<Outgoing> {
    return this.entries.flatMap((entry) => entry._tag === "Message" ? [entry.message] : [])
  }

  /** Hooks and events in the order they were added, after the commit. */
  committed(run: (entries: ReadonlyArray<Emission | Effect.Effect<void>>) => Effect.Effect<void>): Effect.Effect<void> {
    if (this.entries.length === 0 && this.due.length === 0) return Effect.void
    const entries = this.entries.flatMap((entry): ReadonlyArray<Emission | Effect.Effect<void>> => {
      switch (entry._tag) {
        case "AfterCommit":
          return [harmless(entry.effect, "An after-commit hook died. The transaction stays committed.")]
        case "Emission":
          return [entry.emission]
        default:
          return []
      }
    })
    return Effect.zipRight(Effect.all(this.due, { discard: true }), run(entries))
  }

  // like the database, the latest of several savepoints of one name
  private find(name: string): number {
    return this.marks.map((mark) => mark.name).lastIndexOf(name)
  }

  private forget(at: number): void {
    for (const entry of this.entries.splice(at).reverse()) {
      if (entry._tag === "Undo") entry.undo()
      if (entry._tag === "AfterRollback") {
        this.due.push(harmless(entry.effect, "An after-rollback hook died. The transaction stays rolled back."))
      }
    }
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
  private readonly nesting = Effect.unsafeMakeSemaphore(1)

  constructor(
    readonly transactor: Context.Tag.Service<Transactor>,
    readonly session: Session,
    readonly journal: TransactionJournal,
    readonly depth: number,
    readonly parent: OpenTransaction | undefined,
    /** The transaction, of whatever transactor, that was open where this one was opened. */
    readonly surrounding: OpenTransaction | undefined
  ) {}

  /** Savepoints nest: of what wants to nest inside this level one has its turn. */
  turn = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => this.nesting.withPermits(1)(effect)

  private touches = 0

  /** Something of this level itself has happened. */
  touch = (): void => {
    this.touches += 1
  }

  /** How often something happened at this level and those round it: beside what is open inside, if that goes on. */
  get touched(): number {
    return this.touches + (this.parent?.touched ?? 0)
  }

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

/** The open transaction of this transactor; another's may be open between its levels. */
export const openOf = (
  transactor: Context.Tag.Service<Transactor>,
  fiber: Fiber.RuntimeFiber<any, any>
): OpenTransaction | undefined => {
  let open = openTransaction(fiber)
  while (open !== undefined && open.transactor !== transactor) open = open.surrounding
  return open
}

export const endedError = (what: string): TransactionError =>
  new TransactionError({
    reason: "Ended",
    message: `${what} after the end of its transaction: wait for forked fibers inside Transaction.run, or start ` +
      "them in Transaction.afterCommit"
  })
