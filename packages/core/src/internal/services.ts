import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { locally } from "./locally.ts"

const transactional = ["@effect/sql/SqlClient/TransactionConnection", "@effect-cqrs/core/Transaction"]

/**
 * What stands in the context while a layer is built but belongs to that moment, not to what is built: kept, it would
 * give a handler a stale span, the layer's own scope (a leak), or somebody else's transaction.
 */
const ambient = [
  "effect/ParentSpan",
  "effect/Tracer/DisablePropagation",
  "effect/Scope",
  "effect/Layer/CurrentMemoMap",
  ...transactional,
  "@effect-cqrs/core/Handler/Implemented"
]

/** A context for what outlives the transaction that is open in it. */
export const withoutTransaction = <R>(context: Context.Context<R>): Context.Context<R> => {
  const map = new Map<string, unknown>(context.unsafeMap)
  for (const key of transactional) map.delete(key)
  return Context.unsafeMake(map)
}

/** The services a handler keeps from the context its layer was built in. */
export const ownServices = (
  context: Context.Context<any>,
  except: ReadonlyArray<Context.Tag<any, any>> = []
): ReadonlyArray<readonly [string, unknown]> => {
  const own = new Map<string, unknown>(context.unsafeMap)
  for (const key of ambient) own.delete(key)
  for (const tag of except) own.delete(tag.key)
  return [...own]
}

/**
 * The caller's context with `own` laid over it. Merged once per caller's context; where nothing differs it is the
 * caller's own object, which is what keeps a call from paying for a change of context.
 */
export const merging = (own: ReadonlyArray<readonly [string, unknown]>) => {
  const merged = new WeakMap<Context.Context<never>, Context.Context<never>>()
  return (caller: Context.Context<never>): Context.Context<never> => {
    let result = merged.get(caller)
    if (result === undefined) {
      if (own.every(([key, value]) => caller.unsafeMap.get(key) === value)) result = caller
      else {
        const map = new Map<string, unknown>(caller.unsafeMap)
        for (const [key, value] of own) map.set(key, value)
        result = Context.unsafeMake<never>(map)
      }
      merged.set(caller, result)
    }
    return result
  }
}

/** Runs an effect with `own` laid over the services of whoever runs it. */
export const giving = (own: ReadonlyArray<readonly [string, unknown]>) => {
  const merge = merging(own)
  return <A, E>(effect: Effect.Effect<A, E, any>): Effect.Effect<A, E> =>
    Effect.withFiberRuntime((fiber) => {
      const context = merge(fiber.currentContext)
      return (context === fiber.currentContext
        ? effect
        : locally(effect, [FiberRef.currentContext, context])) as Effect.Effect<A, E>
    })
}
