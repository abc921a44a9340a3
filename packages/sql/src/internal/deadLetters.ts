import type { DeadLetter, DeadLetterFilter, OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Effect from "effect/Effect"
import { chunksOf } from "./chunks.ts"
import type { DeadLetterStatements, DeadWhere, Dialect, Names } from "./dialect.ts"
import { bySequence, deadLetterOf, type DeadRow } from "./entry.ts"
import type { Queries } from "./queries.ts"
import { whereOf, whole } from "./reading.ts"
import { inOrder } from "./settling.ts"

/** The setting that grows with each redrive and discard. */
export const revision = "revision"

type DeadLetters = Pick<
  OutboxStorage["Type"],
  "deadLetters" | "deadLetterCounts" | "redrive" | "discard" | "revision"
>

/** What stands beside the buckets until somebody decides. */
export const deadLetters = (
  dialect: Dialect,
  names: Names,
  buckets: number,
  statements: DeadLetterStatements,
  { execute, query, together }: Queries,
  signal: Effect.Effect<void>
): DeadLetters => {
  const all = Array.from({ length: buckets }, (_, bucket) => bucket)

  const decide = (decision: DeadLetterStatements["redrive" | "discard"]) => (sequences: ReadonlyArray<bigint>) =>
    sequences.length === 0 ? Effect.succeed(0) : together(
      Effect.tap(
        Effect.reduce(
          chunksOf(inOrder(sequences), 1000),
          0,
          (count, some) => Effect.map(execute(decision(some)), (changed) => count + changed)
        ),
        // last: whoever else decides waits here, and for nothing that it has itself
        (count) => count === 0 ? Effect.void : execute(dialect.settings.increment(names, revision))
      )
    ).pipe(Effect.zipLeft(signal))

  return {
    deadLetters: ({ limit: asked, ...filter }) => {
      const limit = whole(asked)
      const where = deadWhereOf(filter)
      return limit === 0 ? Effect.succeed([]) : Effect.map(
        Effect.forEach(
          chunksOf(all, statements.bucketsPerList),
          (some) => query<DeadRow>(statements.list(where, { buckets: some, limit }))
        ),
        (parts): ReadonlyArray<DeadLetter> =>
          bySequence(parts.flat().map((row) => deadLetterOf(row, buckets))).slice(0, limit)
      )
    },
    deadLetterCounts: (filter) =>
      Effect.map(
        query<{ readonly topic: string; readonly reason: string | null; readonly count: number | bigint | string }>(
          statements.counts(deadWhereOf(filter))
        ),
        (rows) =>
          rows.map(({ count, reason, topic }) => ({ topic, reason: reason ?? "", count: Number(count) })).sort((a, b) =>
            b.count - a.count
          )
      ),
    redrive: decide(statements.redrive),
    discard: decide(statements.discard),
    revision: Effect.map(
      query<{ readonly value: string }>(dialect.settings.read(names, revision)),
      ([setting]) => Number(setting?.value ?? 0)
    )
  }
}

const deadWhereOf = ({ since, until, ...filter }: DeadLetterFilter): DeadWhere => ({
  ...whereOf(filter),
  since: since === undefined ? undefined : since.epochMillis * 1000,
  until: until === undefined ? undefined : until.epochMillis * 1000
})
