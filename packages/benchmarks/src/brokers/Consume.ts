/**
 * How quickly a consumer handles what waits at a broker, beside the raw client's consume loop with the same handler.
 */
import { layerPrefix } from "@effect-cqrs/core/Broker"
import * as Consumer from "@effect-cqrs/core/Consumer"
import * as Subscribers from "@effect-cqrs/core/Subscribers"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Server } from "../Database.ts"
import * as Backlog from "../outbox/Backlog.ts"
import { Noted } from "../outbox/Noted.ts"
import * as Program from "../outbox/Program.ts"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement, Round } from "../Suite.ts"
import { group, type Kind } from "./Kind.ts"
import { waiting } from "./Waiting.ts"

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
    const { count } = yield* Run
    const { context } = yield* Program.make(server, 4)
    const provide = Effect.provide(context)
    const backlog = yield* provide(Backlog.make(server, "bench_consume", { count: count(messages), keys: 1000 }))
    yield* provide(Backlog.fill(server, backlog, 1))
    const prepared = yield* provide(waiting)
    let topics = 0

    /** A round with a topic of its own, full of messages; each contender says how long it took from the first to the last. */
    const round = (
      handle: (options: {
        readonly prefix: string
        readonly topic: string
        readonly seen: Seen
      }) => Effect.Effect<number, unknown>
    ): Round =>
      Effect.scoped(Effect.gen(function*() {
        const prefix = `effect_cqrs_bench_${process.pid}_consume_${++topics}.`
        const topic = `${prefix}bench`
        yield* kind.topic(topic, `${prefix}${group}`)
        yield* kind.publish(topic, prepared)
        const seen = new Seen(backlog.versions)
        const millis = yield* handle({ prefix, topic, seen })
        yield* seen.check(backlog.count)
        return { rate: backlog.count / millis * 1000 }
      }))

    return {
      consumer: round(({ prefix, seen }) =>
        Effect.scoped(Effect.gen(function*() {
          const done = yield* Deferred.make<number>()
          let started = 0
          const note = Effect.sync
          yield* Layer.build(
            Consumer.layer({ subscription: { group, window: 1024 }, events: [Noted] }).pipe(
              Layer.provide(Subscribers.layer(Noted, {
                note: (event) =>
                  note(() => {
                    if (started === 0) started = performance.now()
                    seen.note(event)
                    if (seen.count === backlog.count) {
                      Deferred.unsafeDone(done, Effect.succeed(performance.now() - started))
                    }
                  })
              })),
              Layer.provide(layerPrefix(prefix)),
              Layer.provide(kind.layer())
            )
          )
          return yield* Deferred.await(done)
        }))
      ),
      "raw client": round(({ prefix, seen, topic }) => {
        const decode = Schema.decodeUnknownSync(Payload)
        return kind.consume(topic, `${prefix}${group}`, backlog.count, async (body) => {
          seen.note(decode(JSON.parse(decoder.decode(body))))
        })
      })
    }
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const decoder = new TextDecoder()

/** What a consumer by hand would check, too. */
const Payload = Schema.Struct({ version: Schema.Number, key: Schema.String, text: Schema.String })

/** Knows of each key what has to come next. */
class Seen {
  count = 0
  private readonly next = new Map<string, number>()
  private wrong: string | undefined

  constructor(private readonly versions: number) {}

  note({ key, version }: { readonly key: string; readonly version: number }): void {
    const wanted = this.next.get(key) ?? 0
    if (version !== wanted) this.wrong ??= `of ${key} came ${version} where ${wanted} should have come`
    this.next.set(key, (version + 1) % this.versions)
    this.count += 1
  }

  check(count: number): Effect.Effect<void, WrongResult> {
    return this.wrong !== undefined
      ? Effect.fail(new WrongResult({ message: `Lost, repeated or out of order: ${this.wrong}` }))
      : this.count !== count
      ? Effect.fail(new WrongResult({ message: `${this.count} messages came of ${count}` }))
      : Effect.void
  }
}
