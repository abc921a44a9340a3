import * as Event from "@effect-cqrs/core/Event"
import type { Message } from "@effect-cqrs/core/Message"
import * as Outbox from "@effect-cqrs/core/Outbox"
import {
  bucketOf,
  type DeadLetterFilter,
  type Entry,
  OutboxStorage,
  type Outgoing,
  type Range,
  Settlement
} from "@effect-cqrs/core/OutboxStorage"
import * as Transaction from "@effect-cqrs/core/Transaction"
import { type Isolation, Transactor } from "@effect-cqrs/core/Transactor"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Facts } from "../../OutboxStorageSuite.ts"
import type { Feature } from "../../Suite.ts"
import { casesOf } from "../cases.ts"

/** What the cases of one topic are made with. */
export interface Topic<R> {
  readonly facts: Facts<R>
  readonly cases: ReturnType<typeof casesOf>
  /** A case on a storage of its own. */
  readonly it: (name: string, test: Test<R>) => void
  readonly itWith: <A>(feature: Feature<A>, name: string, test: (feature: A) => Test<R>) => void
}

type Test<R> = Effect.Effect<void, unknown, Transactor | OutboxStorage | R | Scope.Scope>

export const topicOf = <R>(facts: Facts<R>): Topic<R> => {
  const cases = casesOf(facts, { timeout: facts.timeout ?? 60_000 })
  return {
    facts,
    cases,
    it: (name, test) => cases.it(name, (id) => Effect.provide(test, facts.layer(id))),
    itWith: (feature, name, test) =>
      cases.itWith(feature, name, (id, value) => Effect.provide(test(value), facts.layer(id)))
  }
}

class Announced extends Event.notification<Announced>()("outbox_suite_announced", {
  topic: "outbox_suite",
  payload: {}
}) {}

/** Adds an event to the open transaction, and answers with its message's id. */
export const announce = (_what: string) => Outbox.add(new Announced())

export const append = (messages: ReadonlyArray<Outgoing>) =>
  Effect.flatMap(OutboxStorage, (storage) => Transaction.run(storage.append(messages)))

/** As the events of `Outbox.add` are stored. */
export const commit = (messages: ReadonlyArray<Outgoing>, isolation?: Isolation) =>
  Effect.scoped(
    Effect.flatMap(Transactor, (transactor) =>
      Effect.flatMap(
        Effect.flatMap(Effect.scope, (scope) => transactor.begin({ isolation, scope })),
        (session) => session.commit(messages)
      ))
  )

/** Reads from some buckets, or from all of them, with what holds for each range. */
export const read = (
  options?: Omit<Range, "bucket" | "limit"> & {
    readonly buckets?: ReadonlyArray<number>
    /** Of each bucket. */
    readonly each?: number
    readonly limit?: number
    readonly maxBytes?: number
    readonly exceptTopics?: ReadonlyArray<string>
  }
) =>
  Effect.flatMap(OutboxStorage, (storage) =>
    storage.read({
      from: (options?.buckets ?? Array.from({ length: storage.buckets }, (_, bucket) => bucket)).map((bucket) => ({
        bucket,
        after: options?.after,
        except: options?.except,
        limit: options?.each
      })),
      limit: options?.limit ?? 1000,
      maxBytes: options?.maxBytes ?? Number.MAX_SAFE_INTEGER,
      exceptTopics: options?.exceptTopics ?? []
    }))

export const waiting = (buckets?: ReadonlyArray<number>) =>
  Effect.flatMap(
    OutboxStorage,
    (storage) => storage.waiting(buckets ?? Array.from({ length: storage.buckets }, (_, bucket) => bucket))
  )

export const settle = (settlements: ReadonlyArray<Settlement>, options?: { readonly keep: boolean }) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.settle(0n, settlements, options))

export const statistics = Effect.flatMap(OutboxStorage, (storage) => storage.statistics)

export const deadLetters = (options?: DeadLetterFilter & { readonly limit?: number }) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.deadLetters({ limit: 1000, ...options }))

export const redrive = (sequences: ReadonlyArray<bigint>) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.redrive(sequences))

export const discard = (sequences: ReadonlyArray<bigint>) =>
  Effect.flatMap(OutboxStorage, (storage) => storage.discard(sequences))

export const delivered = ({ sequence }: Pick<Entry, "sequence">) => Settlement.Delivered({ sequence })

export const deferred = (
  { sequence }: Pick<Entry, "sequence">,
  delay: Duration.DurationInput,
  { attempts, reason }: { readonly attempts?: number; readonly reason?: string } = {}
) => Settlement.Deferred({ sequence, attempts: attempts ?? 1, delay: Duration.decode(delay), reason: reason ?? "no" })

export const dead = (
  { sequence }: Pick<Entry, "sequence">,
  policy: "halt" | "skip",
  reason = "no",
  attempts = 1
) => Settlement.Dead({ sequence, attempts, policy, reason })

export const ids = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> => entries.map((entry) => entry.message.id)

export const idsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map((message) => message.id)

/** Another key of the topic in the same bucket. */
export const neighbour = (topic: string, key: string) =>
  Effect.map(OutboxStorage, ({ buckets }) => {
    const bucket = bucketOf({ topic, key, id: "" }, buckets)
    for (let n = 0;; n++) {
      if (bucketOf({ topic, key: `neighbour ${n}`, id: "" }, buckets) === bucket) return `neighbour ${n}`
    }
  })

/** A key of the suite's topic in another bucket, or in the same if there is only one. */
export const elsewhere = (key: string) =>
  Effect.map(OutboxStorage, ({ buckets }) => {
    const bucket = bucketOf({ topic: "suite", key, id: "" }, buckets)
    for (let n = 0;; n++) {
      const other = `elsewhere ${n}`
      if (buckets === 1 || bucketOf({ topic: "suite", key: other, id: "" }, buckets) !== bucket) return other
    }
  })
