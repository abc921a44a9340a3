import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Who may be in flight beside whom: many at a time, or one alone. */
export interface Alone {
  /** Reserves places for the time of the scope. */
  readonly join: (places: number) => Effect.Effect<void, never, Scope.Scope>
  /** With others; behind one that wants to be alone. Says whether there is nobody else who could be. */
  readonly beside: <A, E, R>(run: (isAlone: boolean) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** After those in flight have ended; those that come wait. */
  readonly alone: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

interface Waiting {
  readonly wantsToBeAlone: boolean
  isIn: boolean
  go: () => void
}

const make = (): Alone => {
  let places = 0
  let inFlight = 0
  let isAlone = false
  /** In the order they came: behind one that waits to be alone, others wait too, or it would never have its turn. */
  const waiting = new Set<Waiting>()

  const enter = (wantsToBeAlone: boolean): boolean => {
    if (isAlone || (wantsToBeAlone && inFlight > 0)) return false
    inFlight += 1
    isAlone = wantsToBeAlone
    return true
  }

  const advance = (): void => {
    for (const one of waiting) {
      if (!enter(one.wantsToBeAlone)) return
      waiting.delete(one)
      one.isIn = true
      one.go()
    }
  }

  const leave = (): void => {
    inFlight -= 1
    isAlone = false
    advance()
  }

  // not by semaphores: Effect's loses a permit to an interruption between the step that takes it and the next
  const fly = <A, E, R>(wantsToBeAlone: boolean, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) => {
      const inside = Effect.ensuring(restore(effect), Effect.sync(leave))
      if (waiting.size === 0 && enter(wantsToBeAlone)) return inside
      const one: Waiting = { wantsToBeAlone, isIn: false, go: () => {} }
      waiting.add(one)
      const turn = Effect.async<void>((resume) => {
        one.go = () => resume(Effect.void)
        if (one.isIn) one.go()
      })
      return Effect.matchCauseEffect(restore(turn), {
        onFailure: (cause) => {
          if (one.isIn) leave()
          else {
            waiting.delete(one)
            advance()
          }
          return Effect.failCause(cause)
        },
        onSuccess: () => inside
      })
    })

  return {
    join: (more) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => places += more),
        () => Effect.sync(() => places -= more)
      )),
    beside: (run) => fly(false, Effect.suspend(() => run(places === 1))),
    alone: (effect) => fly(true, effect)
  }
}

const shared = new WeakMap<object, Alone>()

/** One for all that share a service, since they die together. */
export const aloneOf = (service: object): Alone => {
  let found = shared.get(service)
  if (found === undefined) shared.set(service, found = make())
  return found
}
