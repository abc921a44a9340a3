/**
 * What a program with an outbox has: a database, transactions, storage, and a relay that is told when to move.
 */
import { Broker } from "@effect-cqrs/core/Broker"
import type { BucketOwner } from "@effect-cqrs/core/BucketOwner"
import type { InboxStorage } from "@effect-cqrs/core/Inbox"
import type { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Relay from "@effect-cqrs/core/Relay"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as SqlStorage from "@effect-cqrs/sql/SqlStorage"
import type { SqlClient } from "@effect/sql/SqlClient"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Database from "../Database.ts"
import type * as Ledger from "./Ledger.ts"

export type Services = SqlClient | OutboxStorage | InboxStorage | Transactor | BucketOwner

export interface Program {
  readonly database: Database.Database
  readonly context: Context.Context<Services>
}

/** Services on a database that is there. */
export const services = (
  server: Database.Server,
  url: Redacted.Redacted,
  connections: number
): Layer.Layer<Services, unknown> =>
  Layer.provideMerge(SqlStorage.layer({ migrate: true }), server.client(url, connections))

/** A program on a database of its own. */
export const make = (server: Database.Server, connections: number): Effect.Effect<Program, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const database = yield* Database.make(server)
    const context = yield* Layer.build(services(server, database.url, connections))
    return { database, context }
  })

/** A relay before a ledger, in the scope; it has its buckets. */
export const relay = (
  ledger: Ledger.Ledger,
  options?: Relay.Options | undefined
): Effect.Effect<Relay.Relay["Type"], unknown, OutboxStorage | BucketOwner | Scope.Scope> =>
  Effect.provideService(Relay.make(options), Broker, ledger.broker)

/** The time that an effect takes, in milliseconds. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [number, A], E, R> =>
  Effect.suspend(() => {
    const started = performance.now()
    return Effect.map(effect, (value) => [performance.now() - started, value] as const)
  })
