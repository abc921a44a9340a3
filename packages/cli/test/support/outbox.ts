import { type Message, OutboxStorage, Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { Fixtures } from "@effect-cqrs/testing"
import type { SqlClient } from "@effect/sql"
import { Duration, Effect, Layer } from "effect"

const storedAt = Date.parse("2026-01-31T12:00:00Z")

/** The event number `n` of a story that is the same each time. */
const message = (n: number, given: Partial<Message.Message>): Message.Message =>
  Fixtures.messageOf({
    id: `0190a6e2-5a0e-7000-8000-${String(n).padStart(12, "0")}`,
    name: "user_joined",
    topic: "rooms",
    source: "/meeting-rooms",
    time: storedAt,
    correlationId: "0190a6e2-5a0e-7000-8000-0000000000c0",
    contentType: "application/json",
    headers: {},
    payload: new TextEncoder().encode(`{"roomId":"${given.key}","userId":"ada"}`),
    ...given
  })

/** Stores messages, and buries those that have a reason. */
export const fill = (
  entries: ReadonlyArray<Partial<Message.Message> & { readonly dead?: string; readonly deferred?: string }>
) =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage.OutboxStorage
    const messages = entries.map(({ dead: _, deferred: __, ...given }, n) => message(n + 1, given))
    for (let at = 0; at < messages.length; at += 1000) {
      yield* Transaction.run(storage.append(messages.slice(at, at + 1000)))
    }
    const stored = yield* storage.backlog({ limit: entries.length })
    const settlements = stored.flatMap(({ sequence }, n): ReadonlyArray<OutboxStorage.Settlement> => {
      const { dead, deferred } = entries[n]!
      if (dead !== undefined) {
        return [OutboxStorage.Settlement.Dead({ sequence, attempts: 8, policy: "halt", reason: dead })]
      }
      return deferred === undefined
        ? []
        : [OutboxStorage.Settlement.Deferred({ sequence, attempts: 2, delay: Duration.hours(1), reason: deferred })]
    })
    for (let at = 0; at < settlements.length; at += 1000) {
      yield* storage.settle(0n, settlements.slice(at, at + 1000))
    }
  })

/** Tables, storage and client. */
export const layerStorage = (
  client: Layer.Layer<SqlClient.SqlClient, unknown>,
  options: SqlStorage.Options = {}
) => Layer.provideMerge(SqlStorage.layer({ migrate: true, ...options }), client)
