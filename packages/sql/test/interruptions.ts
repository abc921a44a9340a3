import { Event, Inbox, Outbox, type OutboxStorage, type Transactor } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import type { Connection } from "@effect/sql/SqlConnection"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Layer, Scheduler, Schema } from "effect"

class Noted extends Event.notification<Noted>()("interrupted_noted", {
  topic: "notes",
  payload: { id: Schema.String }
}) {}

/** Runs an effect in a fiber that is interrupted before its n-th step. Answers how many steps it took. */
const interruptedAt = <A, E, R>(at: number, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let steps = 0
    const scheduler: Scheduler.Scheduler = {
      shouldYield: (fiber) => {
        steps += 1
        if (steps === at) fiber.unsafeInterruptAsFork(fiber.id())
        return false
      },
      scheduleTask: (task, priority, fiber) => Scheduler.defaultScheduler.scheduleTask(task, priority, fiber)
    }
    return Effect.flatMap(
      Effect.fork(Effect.withScheduler(effect, scheduler)),
      (fiber) => Effect.map(Fiber.await(fiber), (exit) => ({ exit, steps }))
    )
  })

/** An interruption at any step leaves all or nothing, and gives the connection back as it was. */
export const interruptions = <R>(options: {
  readonly name: string
  /** With a table `facts (id)`. */
  readonly layer: Layer.Layer<
    R | SqlClient.SqlClient | Transactor.Transactor | Inbox.InboxStorage | OutboxStorage.OutboxStorage,
    unknown
  >
  /** How many connections the client has. */
  readonly connections: number
  /** Fails for a connection on which a transaction is open. */
  readonly assertIdle: (connection: Connection) => Effect.Effect<void, unknown>
}): void => {
  const { assertIdle, connections, layer, name } = options
  const counted = (table: string) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.map(
        sql.unsafe<{ readonly count: number | string }>(`select count(*) as count from ${table}`),
        ([row]) => Number(row!.count)
      ))
  const handle = (id: string) =>
    Inbox.process(
      { consumer: "c", handler: "h", source: "/s", messageId: id },
      Effect.zipRight(
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into facts ${sql.insert({ id })}`),
        Outbox.add(new Noted({ id }))
      )
    )

  describe(`a transaction on ${name} that is interrupted`, () => {
    it.live("before any of its steps leaves all or nothing, and a clean connection", () =>
      Effect.gen(function*() {
        // the first on a connection asks it for what the others know
        yield* handle("first")
        let handled = 1
        for (let at = 1;; at++) {
          const { exit, steps } = yield* interruptedAt(at, handle(`interrupted ${at}`))
          const facts = yield* counted("facts")
          assert.include([handled, handled + 1], facts, `before step ${at}`)
          assert.strictEqual(yield* counted("cqrs_inbox"), facts, `before step ${at}`)
          assert.strictEqual(yield* counted("cqrs_outbox"), facts, `before step ${at}`)
          handled = facts
          if (steps < at) {
            assert.isTrue(Exit.isSuccess(exit))
            break
          }
          yield* handle(`after ${at}`)
          handled += 1
        }
        const sql = yield* SqlClient.SqlClient
        yield* Effect.scoped(Effect.forEach(
          Array.from({ length: connections }),
          () => Effect.flatMap(sql.reserve, assertIdle),
          { discard: true }
        )).pipe(Effect.timeout("5 seconds"))
      }).pipe(Effect.provide(layer), Effect.scoped), 120_000)
  })
}
