/**
 * What becomes of an outbox entry after the broker's answer: one pure function.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Outcome } from "./Broker.ts"
import { type Entry, Settlement } from "./OutboxStorage.ts"

/**
 * What to do with an event that the broker rejects.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejection {
  /** How long to wait before the next attempt; none: it becomes a dead letter. */
  readonly delay: Option.Option<Duration.Duration>
  /** Whether later events of a dead letter's topic and key wait for it to be redriven or discarded, or go on. */
  readonly exhausted: "halt" | "skip"
}

/**
 * Decides about one entry. Nothing is to be settled (`None`) when the outcome is `Retriable`: the entry stays as it is,
 * no attempt is counted, and its destination or the broker is what waits.
 *
 * @since 0.1.0
 * @category combinators
 */
export const settlement = (entry: Entry, outcome: Outcome, rejection: Rejection): Option.Option<Settlement> => {
  const { sequence } = entry
  switch (outcome._tag) {
    case "Delivered":
      return Option.some(Settlement.Delivered({ sequence }))
    case "Retriable":
      return Option.none()
    case "Rejected": {
      const attempts = entry.attempts + 1
      const reason = outcome.reason.slice(0, maxReasonLength)
      return Option.some(Option.match(rejection.delay, {
        onSome: (delay) => Settlement.Deferred({ sequence, attempts, delay, reason }),
        onNone: () => Settlement.Dead({ sequence, attempts, policy: rejection.exhausted, reason })
      }))
    }
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const maxReasonLength = 1000
