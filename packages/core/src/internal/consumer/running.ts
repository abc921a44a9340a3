import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Message } from "../../Message.ts"
import type { Around } from "../attempts.ts"
import { dispatch } from "../emission.ts"
import { type Emission, type Handling, localsOf } from "../handling.ts"
import { enter } from "../locally.ts"
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
      const context = around === undefined ? subscriber.contextOf(fiber, message) : undefined
      const leave = enter(fiber, localsOf(handling, context))
      const end = (exit: Exit.Exit<unknown, unknown>, emissions: ReadonlyArray<Emission>) => {
        into.push({ handler, exit })
        leave()
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
