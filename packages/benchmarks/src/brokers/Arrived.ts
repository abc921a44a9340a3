/**
 * Topics full of messages, one for each round, and the time that it takes to handle them.
 */
import { layerPrefix } from "@effect-cqrs/core/Broker"
import * as Consumer from "@effect-cqrs/core/Consumer"
import * as Subscribers from "@effect-cqrs/core/Subscribers"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Server } from "../Database.ts"
import * as Backlog from "../outbox/Backlog.ts"
import { Noted } from "../outbox/Noted.ts"
import type * as Program from "../outbox/Program.ts"
import { Run } from "../Run.ts"
import type { Round } from "../Suite.ts"
import { group, type Kind } from "./Kind.ts"
import { Seen } from "./Seen.ts"
import { waiting } from "./Waiting.ts"

/** What a contender has in a round: its own topic, and whom it tells what it has handled. */
export interface Topic {
  readonly kind: Kind
  readonly prefix: string
  /** In full. */
  readonly topic: string
  readonly group: string
  readonly count: number
  readonly seen: Seen
}

/** Makes rounds of a contender that says how many milliseconds went by from the first message to the last. */
export const make = (
  server: Server,
  kind: Kind,
  program: Program.Program,
  options: { readonly name: string; readonly messages: number }
): Effect.Effect<
  (handle: (topic: Topic) => Effect.Effect<number, unknown>) => Round,
  unknown,
  Run | Scope.Scope
> =>
  Effect.gen(function*() {
    const { count } = yield* Run
    const provide = Effect.provide(program.context)
    const backlog = yield* provide(Backlog.make(server, options.name, { count: count(options.messages), keys: 1000 }))
    yield* provide(Backlog.fill(server, backlog, 1))
    const prepared = yield* provide(waiting)
    let topics = 0
    return (handle) =>
      Effect.scoped(Effect.gen(function*() {
        const prefix = `effect_cqrs_bench_${process.pid}_${options.name}_${++topics}.`
        const topic = `${prefix}bench`
        yield* kind.topic(topic, `${prefix}${group}`)
        yield* kind.publish(topic, prepared)
        const seen = new Seen(backlog.versions)
        const millis = yield* handle({ kind, prefix, topic, group: `${prefix}${group}`, count: backlog.count, seen })
        yield* seen.check(backlog.count)
        return { rate: backlog.count / millis * 1000 }
      }))
  })

/** The consumer; a handler says when it is done with an event. */
export const consumer = (
  { count, kind, prefix, seen }: Topic,
  program: Program.Program,
  options: Pick<Consumer.Options<[typeof Noted], boolean>, "batch" | "concurrency" | "inbox">,
  work: (event: Noted, done: () => void) => Effect.Effect<unknown, unknown>
): Effect.Effect<number, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const done = yield* Deferred.make<number>()
    let started = 0
    const note = (event: Noted): Effect.Effect<unknown, unknown> => {
      if (started === 0) started = performance.now()
      return work(event, () => {
        seen.note(event)
        if (seen.count === count) Deferred.unsafeDone(done, Effect.succeed(performance.now() - started))
      })
    }
    yield* Layer.build(
      Consumer.layer({ subscription: { group, window: 1024 }, events: [Noted], ...options }).pipe(
        Layer.provide(Subscribers.layer(Noted, { note })),
        Layer.provide(layerPrefix(prefix)),
        Layer.provide(kind.layer()),
        Layer.provide(Layer.succeedContext(program.context))
      )
    )
    return yield* Deferred.await(done)
  }))
