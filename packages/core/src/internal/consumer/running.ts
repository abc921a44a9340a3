import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { dispatch } from "../emission.ts"
import { currentOrigin, type Emission, type Handling } from "../handling.ts"

interface Handled {
  readonly handler: string
  readonly exit: Exit.Exit<unknown, unknown>
}

/** Runs one handler of a message as its own `Handling`, notes how it fared, and dispatches what it emitted. It never fails. */
export const runConsumed = (
  handler: string,
  effect: Effect.Effect<unknown, unknown>,
  handling: Handling,
  into: Array<Handled>
): Effect.Effect<void> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<void>((fiber) => {
      const back = FiberRef.set(currentOrigin, fiber.getFiberRef(currentOrigin))
      const emit = (emissions: ReadonlyArray<Emission>): Effect.Effect<void> =>
        emissions.length === 0 ? back : Effect.zipRight(back, restore(dispatch(emissions)))
      return Effect.flatMap(FiberRef.set(currentOrigin, handling), () =>
        Effect.matchCauseEffect(restore(effect), {
          onFailure: (cause) => {
            handling.state = "failed"
            into.push({ handler, exit: Exit.failCause(cause) })
            // its own are dropped; others' stand, which waited behind its own after the commit of its transaction
            return emit(handling.pending.filter((emission) => emission.handling !== handling))
          },
          onSuccess: (value) => {
            handling.state = "succeeded"
            into.push({ handler, exit: Exit.succeed(value) })
            const emissions = handling.pending
            if (emissions.length > 0) handling.pending = []
            return emit(emissions)
          }
        }))
    })
  )
