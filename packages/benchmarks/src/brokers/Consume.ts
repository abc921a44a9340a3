/**
 * How quickly a consumer handles what waits at a broker, beside the raw client's consume loop with the same handler.
 */
import * as Effect from "effect/Effect"
import type { Server } from "../Database.ts"
import * as Program from "../outbox/Program.ts"
import type { Measurement } from "../Suite.ts"
import * as Arrived from "./Arrived.ts"
import type { Kind } from "./Kind.ts"
import { decode } from "./Seen.ts"

const messages = 100_000

export const consume = (server: Server, kind: Kind): Measurement => ({
  name: `consume ${kind.title}`,
  needs: [server.variable, kind.variable],
  rounds: { full: 5, quick: 2 },
  rows: [{
    id: `consume/${kind.id}`,
    title: "consumer without inbox, 1,000 keys",
    unit: "msg/s",
    subject: { contender: "consumer", figure: "rate" },
    twin: { contender: "raw client", figure: "rate" },
    target: { atLeast: 0.8 }
  }],
  contenders: Effect.gen(function*() {
    const program = yield* Program.make(server, 4)
    const round = yield* Arrived.make(server, kind, program, { name: "bench_consume", messages })
    return {
      consumer: round((topic) => Arrived.consumer(topic, program, {}, (_event, done) => Effect.sync(done))),
      "raw client": round(({ count, group, seen, topic }) =>
        kind.consume({ topic, group, count, concurrency: 1, handle: async ({ body }) => seen.note(decode(body)) })
      )
    }
  })
})
