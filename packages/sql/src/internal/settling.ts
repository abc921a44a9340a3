import type { OutboxStorage, Settlement } from "@effect-cqrs/core/OutboxStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { chunksOf } from "./chunks.ts"
import type { Dialect, Names, OutboxStatements, Query } from "./dialect.ts"
import type { Queries } from "./queries.ts"
import { whole } from "./reading.ts"

/** What relays decided, behind the fence; and the end of what was kept. */
export const settling = (
  dialect: Dialect,
  names: Names,
  statements: OutboxStatements,
  { execute, query, together, write }: Queries
): Pick<OutboxStorage["Type"], "settle" | "purge" | "purgeable"> => ({
  settle: (token, settlements, options) => {
    const keep = options?.keep === true
    const delivered = inOrder(settlements.flatMap((one) => one._tag === "Delivered" ? [one.sequence] : []))
    const isHeld = token === 0n
      ? Effect.succeed(true)
      : Effect.map(query(dialect.lease.hold(names, token)), (rows) => rows.length > 0)
    const changes = changesOf(settlements, statements)
    if (changes.length === 0) {
      return delivered.length === 0
        ? Effect.succeed(true)
        // none changed: the fence stood before them, or somebody has settled them already
        : Effect.flatMap(
          write(statements.deliver(delivered, { keep, token })),
          (raw) => dialect.affected(raw) > 0 ? Effect.succeed(true) : isHeld
        )
    }
    const inside = (query: Query) => execute(query)
    return together(Effect.zipRight(
      Effect.filterOrFail(isHeld, (held) => held, () => "superseded" as const),
      Effect.zipRight(
        delivered.length === 0 ? Effect.void : inside(statements.deliver(delivered, { keep, token: undefined })),
        Effect.forEach(changes, inside, { discard: true })
      )
    )).pipe(
      Effect.as(true),
      Effect.catchAll((error) => error === "superseded" ? Effect.succeed(false) : Effect.fail(error))
    )
  },
  purgeable: (olderThan) =>
    Effect.map(
      query<{ readonly count: number | string }>(
        statements.purgeableCount(whole(Duration.toMillis(olderThan) * 1000))
      ),
      ([row]) => Number(row?.count)
    ),
  purge: ({ limit, olderThan }) =>
    Effect.flatMap(
      query<{ readonly sequence: number | string }>(
        statements.purgeable({ limit: whole(limit), olderMicros: whole(Duration.toMillis(olderThan) * 1000) })
      ),
      (rows) =>
        Effect.reduce(
          chunksOf(inOrder(rows.map(({ sequence }) => BigInt(sequence))), 1000),
          0,
          (count, some) => Effect.map(write(statements.purge(some)), (raw) => count + dialect.affected(raw))
        )
    )
})

/** Everybody locks rows in this order. */
export const inOrder = (sequences: ReadonlyArray<bigint>): ReadonlyArray<bigint> =>
  [...new Set(sequences)].sort((a, b) => a < b ? -1 : 1)

type Other = Exclude<Settlement, { readonly _tag: "Delivered" }>

/** One statement for all that have the same in store, as when a whole batch was rejected. */
const changesOf = (settlements: ReadonlyArray<Settlement>, statements: OutboxStatements): ReadonlyArray<Query> => {
  const groups = new Map<string, { readonly one: Other; readonly sequences: Array<bigint> }>()
  for (const one of settlements) {
    if (one._tag === "Delivered") continue
    const name = JSON.stringify(
      one._tag === "Deferred"
        ? [one.attempts, one.reason, Duration.toMillis(one.delay)]
        : [one.attempts, one.reason, one.policy]
    )
    const group = groups.get(name)
    if (group === undefined) groups.set(name, { one, sequences: [one.sequence] })
    else group.sequences.push(one.sequence)
  }
  return [...groups.values()].flatMap(({ one, sequences }) => {
    const { attempts } = one
    const reason = storable(one.reason)
    return chunksOf(inOrder(sequences), 1000).map((some) =>
      one._tag === "Deferred"
        ? statements.defer(some, { attempts, delayMicros: whole(Duration.toMillis(one.delay) * 1000), reason })
        : statements.bury(some, { attempts, policy: one.policy, reason })
    )
  })
}

/** PostgreSQL stores no NUL, and no column holds a text without end: neither is to stop a settlement. */
const storable = (reason: string): string => reason.slice(0, 8000).replaceAll("\0", "")
