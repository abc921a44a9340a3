/** A consumer with the inbox, whose handlers note what they did in a table without a unique key. */
import { Consumer, Message, Subscribers } from "@effect-cqrs/core"
import { SqlClient } from "@effect/sql"
import { Effect, Layer } from "effect"
import { Changed, group, Moved } from "../Domain.ts"
import { deaths } from "../Setting.ts"
import * as Truth from "../Truth.ts"

const handlers = (consumer: string) =>
  Effect.map(SqlClient.SqlClient, (sql) => ({
    apply: ({ key, kind, version }: Changed | Moved) =>
      Effect.gen(function*() {
        const { id } = yield* Message.Received
        if (kind === "deadly") process.kill(process.pid, "SIGKILL")
        yield* Truth.apply({ id, key, version, consumer })
      }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  }))

/** Every other one handles in batches. */
export const ConsumerOf = (slot: number) => {
  const consumer = `consumer ${slot}`
  return Consumer.layer({
    subscription: { group, ordering: "single-active-consumer" },
    events: [Changed, Moved],
    inbox: true,
    concurrency: 4,
    deaths,
    ...(slot % 2 === 0 ? { batch: { size: 20 } } : {}),
    grace: "3 seconds"
  }).pipe(
    Layer.provide(Subscribers.layer(Changed, handlers(consumer))),
    Layer.provide(Subscribers.layer(Moved, handlers(consumer)))
  )
}
