import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import type * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"

/** A value of a `FiberRef` that holds while something runs. */
export type Local<A = any> = readonly [ref: FiberRef.FiberRef<A>, value: A]

/**
 * `Effect.locally` of several values at once, at the price of one copy of what the fiber holds: Effect's own copies it
 * twice for each value, which is most of what a call would cost.
 */
export const locally = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  ...locals: ReadonlyArray<Local>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) => {
      const leave = enter(fiber, locals)
      return Effect.matchCauseEffect(restore(effect), {
        onFailure: (cause) => {
          leave()
          return Effect.failCause(cause)
        },
        onSuccess: (value) => {
          leave()
          return Effect.succeed(value)
        }
      })
    })
  )

/**
 * Gives the running fiber values, until what is answered is called; both in a region that cannot be interrupted, where
 * nothing can skip that.
 */
export const enter = (fiber: Fiber.RuntimeFiber<any, any>, locals: ReadonlyArray<Local>): () => void => {
  const before = refsOf(fiber)
  const inside = having(before, fiber.id(), locals)
  replace(fiber, inside)
  return () => {
    const now = refsOf(fiber)
    // what else was set meanwhile stays
    replace(
      fiber,
      now === inside
        ? before
        : having(now, fiber.id(), locals.map(([ref]) => [ref, FiberRefs.getOrDefault(before, ref)]))
    )
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** What a fiber has beside its types. `getFiberRefs` copies all that is held to note the flags it runs with. */
interface Inner {
  readonly _fiberRefs?: FiberRefs.FiberRefs
  readonly setFiberRefs: (refs: FiberRefs.FiberRefs) => void
}

const refsOf = (fiber: Fiber.RuntimeFiber<any, any>): FiberRefs.FiberRefs =>
  (fiber as unknown as Inner)._fiberRefs ?? fiber.getFiberRefs()

const replace = (fiber: Fiber.RuntimeFiber<any, any>, refs: FiberRefs.FiberRefs): void =>
  (fiber as unknown as Inner).setFiberRefs(refs)

/** As `FiberRefs.updateManyAs`, which compares the values first: contexts service by service. */
const having = (
  refs: FiberRefs.FiberRefs,
  fiberId: FiberId.Single,
  locals: ReadonlyArray<Local>
): FiberRefs.FiberRefs => {
  const held = new Map(refs.locals)
  for (const [ref, value] of locals) {
    const stack = held.get(ref)
    const mine = [fiberId, value] as const
    // most often the fiber has a value of its own, and nothing beneath it
    if (stack === undefined || (stack.length === 1 && stack[0][0] === fiberId)) held.set(ref, [mine])
    else held.set(ref, [mine, ...stack[0][0] === fiberId ? stack.slice(1) : stack])
  }
  return FiberRefs.unsafeMake(held)
}
