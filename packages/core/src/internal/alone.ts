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

const everyone = 2 ** 30

const make = (): Alone => {
  const inFlight = Effect.unsafeMakeSemaphore(everyone)
  /** Held by the one that is alone or waits to be: without it, those that keep coming would never let it have its turn. */
  const turnstile = Effect.unsafeMakeSemaphore(1)
  let places = 0
  return {
    join: (more) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => places += more),
        () => Effect.sync(() => places -= more)
      )),
    beside: (run) =>
      Effect.zipRight(
        turnstile.withPermits(1)(Effect.void),
        inFlight.withPermits(1)(Effect.suspend(() => run(places === 1)))
      ),
    alone: (effect) => turnstile.withPermits(1)(inFlight.withPermits(everyone)(effect))
  }
}

const shared = new WeakMap<object, Alone>()

/** One for all that share a service, since they die together. */
export const aloneOf = (service: object): Alone => {
  let found = shared.get(service)
  if (found === undefined) shared.set(service, found = make())
  return found
}
