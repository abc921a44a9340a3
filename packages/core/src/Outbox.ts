/**
 * The transactional outbox: events that are announced if, and only if, the transaction commits.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Event from "./Event.ts"
import { definitionOf } from "./internal/event.ts"
import { endedError, transactionTag } from "./internal/transaction.ts"
import { TransactionError } from "./internal/transactionError.ts"
import type { Outgoing } from "./OutboxStorage.ts"
import * as Serialization from "./Serialization.ts"
import type { Transaction } from "./Transaction.ts"

/**
 * Leaves an event that may leave the process as it is, and replaces the type of one that is, or may be, a domain event
 * by the reason.
 *
 * @since 0.1.0
 * @category models
 */
export type Announceable<Ev extends Event.Any> = [DomainOf<Ev>] extends [never] ? unknown
  : `${Event.NameOf<
    DomainOf<Ev>
  >} is a domain event: it stays in the process. Announce an Event.notification or Event.ecst`

/**
 * Adds an event to the open transaction, and answers with the id of its message.
 *
 * The event is encoded and checked at once: an event that does not fit its schema, or is too large, fails here with the
 * reason `EventRejected`, and the transaction may go on without it. It is stored with the transaction's other events by
 * the last statement before COMMIT, in the order of their adding, and delivered at least once after that; events of one
 * topic and key in the order of their commits, where their transactions change a row in common or the event is declared
 * with a `keyLock`. If the transaction is rolled back, or a nested one or a savepoint it was
 * added in, nobody will ever see it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const add = <Ev extends Event.Any>(
  event: Ev & Announceable<Ev>
): Effect.Effect<string, TransactionError, Transaction> =>
  Effect.map(addMessages([event as unknown as Event.Integration]), (ids) => ids[0]!)

/**
 * Adds several events, in order: all of them, or, if one is rejected, none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const addAll = <const Evs extends ReadonlyArray<Event.Any>>(
  events: Evs & { readonly [I in keyof Evs]: Evs[I] extends Event.Any ? Evs[I] & Announceable<Evs[I]> : never }
): Effect.Effect<ReadonlyArray<string>, TransactionError, Transaction> =>
  addMessages(events as unknown as ReadonlyArray<Event.Integration>)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

// each event of a union on its own: one domain event among others is one too many
type DomainOf<Ev extends Event.Any> = Ev extends Event.Any ? "domain" extends Event.KindOf<Ev> ? Ev : never : never

const outgoing = (event: Event.Integration): Effect.Effect<Outgoing, Serialization.SerializationError> => {
  const message = Serialization.encode(event)
  return definitionOf(event).keyLock ? Effect.map(message, (one) => ({ ...one, keyLock: true })) : message
}

const addMessages = (
  events: ReadonlyArray<Event.Integration>
): Effect.Effect<ReadonlyArray<string>, TransactionError, Transaction> =>
  Effect.flatMap(transactionTag, (open) =>
    Effect.flatMap(
      Effect.mapError(
        Effect.forEach(events, outgoing),
        (error) => new TransactionError({ reason: "EventRejected", message: error.message, cause: error })
      ),
      (messages) => {
        const ids = messages.map((message) => message.id)
        if (open.ended()) return Effect.fail(endedError("An event was added to the outbox"))
        for (const message of messages) open.journal.add({ _tag: "Message", message })
        open.touch()
        return Effect.succeed(ids)
      }
    ))
