/**
 * How quickly a backlog in MariaDB goes to a broker, beside the raw client that has the same messages in memory.
 */
import { layerPrefix } from "@effect-cqrs/core/Broker"
import * as Relay from "@effect-cqrs/core/Relay"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Server } from "../Database.ts"
import * as Backlog from "../outbox/Backlog.ts"
import * as Program from "../outbox/Program.ts"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement, Round, Row } from "../Suite.ts"
import { group, type Kind, type Options } from "./Kind.ts"
import { waiting } from "./Waiting.ts"

interface Case extends Options {
  readonly id: string
  readonly title: string
  readonly keys: number
  readonly messages: number
  readonly target?: { readonly atLeast: number } | undefined
}

export const relayTo = (server: Server, kind: Kind, cases: ReadonlyArray<Case>): Measurement => ({
  name: `relay ${server.title} to ${kind.title}`,
  needs: [server.variable, kind.variable],
  rounds: { full: 5, quick: 2 },
  rows: cases.map(({ id, target, title }): Row => ({
    id: `${id}/${kind.id}`,
    title,
    unit: "msg/s",
    subject: { contender: `${id}, relay`, figure: "rate" },
    twin: { contender: `${id}, raw client`, figure: "rate" },
    ...(target === undefined ? {} : { target })
  })),
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const { context } = yield* Program.make(server, 10)
    const provide = Effect.provide(context)
    let topics = 0

    /** A round with a topic of its own; what it answers with is how long it took. */
    const round = (
      messages: number,
      publish: (options: { readonly prefix: string; readonly topic: string }) => Effect.Effect<number, unknown, Run>
    ): Round =>
      Effect.scoped(Effect.gen(function*() {
        const prefix = `effect_cqrs_bench_${process.pid}_${++topics}.`
        const topic = `${prefix}bench`
        yield* kind.topic(topic, `${prefix}${group}`)
        const millis = yield* publish({ prefix, topic })
        const there = yield* settledCount(kind, topic, `${prefix}${group}`, messages)
        if (there !== messages) {
          return yield* new WrongResult({ message: `${there} messages wait at ${kind.title} of ${messages}` })
        }
        return { rate: messages / millis * 1000 }
      }))

    const contenders = yield* Effect.forEach(cases, ({ id, keys, messages, pipelined }) =>
      Effect.gen(function*() {
        const backlog = yield* provide(
          Backlog.make(server, `bench_${id.replaceAll("-", "_")}`, { count: count(messages), keys })
        )
        yield* provide(Backlog.fill(server, backlog, 1))
        const prepared = yield* provide(waiting)
        yield* provide(Backlog.clear(server))
        const relay = (prefix: string) =>
          Effect.gen(function*() {
            yield* Backlog.fill(server, backlog, 1)
            const broker = Layer.provide(layerPrefix(prefix), kind.layer({ pipelined }))
            const millis = yield* Effect.scoped(Effect.provide(
              Effect.gen(function*() {
                const relay = yield* Relay.make()
                const [millis] = yield* Program.timed(relay.drain)
                return millis
              }),
              broker
            ))
            yield* Backlog.left(0)
            return millis
          })
        return [
          [`${id}, relay`, round(backlog.count, ({ prefix }) => provide(relay(prefix)))],
          [`${id}, raw client`, round(backlog.count, ({ topic }) => kind.publish(topic, prepared))]
        ] as const
      }))
    return Object.fromEntries(contenders.flat())
  })
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** A queue's count is a moment behind its confirms. */
const settledCount = (kind: Kind, topic: string, group: string, wanted: number) =>
  Effect.gen(function*() {
    let found = yield* kind.count(topic, group)
    for (let attempt = 0; found !== wanted && attempt < 50; attempt++) {
      yield* Effect.sleep("100 millis")
      found = yield* kind.count(topic, group)
    }
    return found
  })
