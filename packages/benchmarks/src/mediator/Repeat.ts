/**
 * What one of many calls takes, in microseconds: of effects, of promises, and of plain functions.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Record from "effect/Record"

type Micros<K extends string> = Effect.Effect<Readonly<Record<K, number>>, unknown>

/** One after the other in one fiber of its own inside `around`; of several effects each in turn. */
export const effects = <K extends string>(
  count: number,
  contenders: Readonly<Record<K, ReadonlyArray<Effect.Effect<unknown, unknown>>>>,
  around: (program: Effect.Effect<number, unknown>) => Effect.Effect<number, unknown> = identity
): Micros<K> =>
  inTurn(
    count,
    Record.map(contenders, (several) => (count: number) => {
      let at = 0
      return Effect.runPromise(around(timed(
        Effect.whileLoop({
          while: () => at < count,
          body: () => several[at++ % several.length]!,
          step: () => {}
        })
      )))
    })
  )

/** Each awaited before the next is made. */
export const promises = (count: number, call: () => Promise<unknown>): Effect.Effect<number, unknown> =>
  Effect.map(
    inTurn(count, {
      call: async (count) => {
        const started = performance.now()
        for (let at = 0; at < count; at++) await call()
        return performance.now() - started
      }
    }),
    ({ call }) => call
  )

export const calls = <K extends string>(count: number, contenders: Readonly<Record<K, () => unknown>>): Micros<K> =>
  inTurn(
    count,
    Record.map(contenders, (call) => (count: number) => {
      const started = performance.now()
      for (let at = 0; at < count; at++) sink.last = call()
      return performance.now() - started
    })
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Read by nobody: a call whose result goes nowhere might not be made at all. */
const sink: { last?: unknown } = {}

/** Each is run so many times, in as many parts: they share what the machine has for them. */
const parts = 10

const inTurn = <K extends string>(
  count: number,
  contenders: Readonly<Record<K, (count: number) => number | Promise<number>>>
): Micros<K> =>
  Effect.tryPromise({
    try: async () => {
      const each = Math.ceil(count / parts)
      const millis: Record<string, number> = {}
      for (let part = 0; part < parts; part++) {
        for (const [name, run] of Object.entries<(count: number) => number | Promise<number>>(contenders)) {
          await breath()
          millis[name] = (millis[name] ?? 0) + await run(each)
        }
      }
      return Record.map(contenders, (_, name) => millis[name]! * 1000 / (each * parts))
    },
    catch: (error) => error
  })

/** What others have left to do is not done in one's own time. */
const breath = () => new Promise<void>((resolve) => setImmediate(resolve))

const timed = <E>(effect: Effect.Effect<unknown, E>): Effect.Effect<number, E> =>
  Effect.suspend(() => {
    const started = performance.now()
    return Effect.map(effect, () => performance.now() - started)
  })
