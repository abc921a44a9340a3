import type * as Inbox from "@effect-cqrs/core/Inbox"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Facts } from "../../InboxSuite.ts"
import { assertIds, casesOf } from "../cases.ts"

/** What the cases of one topic are made with. */
export type Topic<R> = ReturnType<typeof topicOf<R>>

export const topicOf = <R>(facts: Facts<R>) => {
  const { read, write } = facts
  const cases = casesOf(facts, { timeout: facts.timeout ?? 30_000 })
  /** A case on an inbox of its own. */
  const it = (name: string, test: Effect.Effect<void, unknown, Transactor | Inbox.InboxStorage | R | Scope.Scope>) =>
    cases.it(name, (id) => Effect.provide(test, facts.layer(id)))

  const assertStored = (expected: ReadonlyArray<string>) =>
    Effect.map(read, (keys) => assertIds("writes", keys, expected))

  return { assertStored, cases, facts, it, read, write }
}

export const alone = (incarnation: string): Inbox.Start => ({ incarnation, isAlone: true })

export class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

export const keyOf = (given: Partial<Inbox.Key> = {}): Inbox.Key => ({
  consumer: "consumer",
  handler: "handler",
  source: "/source",
  messageId: "message",
  ...given
})
