import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import type { Message } from "../../Message.ts"
import type { Around } from "../attempts.ts"
import { dispatch } from "../emission.ts"
import { currentOrigin, type Emission, type Handling } from "../handling.ts"
import type { Subscriber } from "../subscribers.ts"

interface Handled {
  readonly handler: string
  readonly exit: Exit.Exit<unknown, unknown>
}

/**
 * Runs one handler of a message as its own `Handling`, notes how it fared, and dispatches what it emitted. It never fails.
 */
export const runConsumed = (
  { around, event, handler, handling, into, message, subscriber }: {
    readonly handler: string
    readonly subscriber: Subscriber
    readonly event: object
    readonly message: Message
    readonly around: Around | undefined
    readonly handling: Handling
    readonly into: Array<Handled>
  }
): Effect.Effect<ReadonlyArray<Handled>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<ReadonlyArray<Handled>>((fiber) => {
      const before = fiber.getFiberRefs()
      const context = around === undefined ? subscriber.contextOf(fiber, message) : undefined
      setFiberRefs(fiber, within(fiber, before, handling, context))
      const end = (exit: Exit.Exit<unknown, unknown>, emissions: ReadonlyArray<Emission>) => {
        into.push({ handler, exit })
        restoreFiberRefs(fiber, before)
        return emissions.length === 0 ? Exit.succeed(into) : Effect.as(restore(dispatch(emissions)), into)
      }
      const effect = context !== undefined
        ? Effect.suspend(() => subscriber.handle(event))
        : around === undefined
        ? subscriber.run(event, message)
        : around({ handler, effect: subscriber.run(event, message) })
      return Effect.matchCauseEffect(restore(effect), {
        onFailure: (cause) => {
          handling.state = "failed"
          // its own are dropped; others' stand, which waited behind its own after the commit of its transaction
          return end(Exit.failCause(cause), handling.pending.filter((emission) => emission.handling !== handling))
        },
        onSuccess: (value) => {
          handling.state = "succeeded"
          const emissions = handling.pending
          if (emissions.length > 0) handling.pending = []
          return end(Exit.succeed(value), emissions)
        }
      })
    })
  )

/** The handling, and its context, for a fiber. All in one step: each by itself would copy all that the fiber has. */
const within = (
  fiber: AnyFiber,
  before: FiberRefs.FiberRefs,
  handling: Handling,
  context: Context.Context<never> | undefined
): FiberRefs.FiberRefs => {
  const locals = new Map(before.locals)
  const id = fiber.id()
  locals.set(currentOrigin, [[id, handling]])
  if (context !== undefined) locals.set(FiberRef.currentContext, [[id, context]])
  return FiberRefs.unsafeMake(locals)
}

/** Sets back all that there was before, but that the fiber is interrupted. What the handler has set is gone with it. */
const restoreFiberRefs = (fiber: AnyFiber, before: FiberRefs.FiberRefs): void => {
  const interrupted = fiber.getFiberRef(FiberRef.interruptedCause)
  setFiberRefs(
    fiber,
    Cause.isEmpty(interrupted)
      ? before
      : FiberRefs.updateAs(before, { fiberId: fiber.id(), fiberRef: FiberRef.interruptedCause, value: interrupted })
  )
}

type AnyFiber = Fiber.RuntimeFiber<any, any>

/** `Effect.setFiberRefs` without a step of its own. */
const setFiberRefs = (fiber: AnyFiber, refs: FiberRefs.FiberRefs): void =>
  (fiber as unknown as { readonly setFiberRefs: (refs: FiberRefs.FiberRefs) => void }).setFiberRefs(refs)
