import * as Effect from "effect/Effect"

/** Lets publishes of several lanes go on at a time, or one alone. */
export interface Gate {
  readonly shared: <A, E, R>(publish: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Waits for those that are under way, and lets none begin meanwhile: it is not kept waiting for ever. */
  readonly alone: <A, E, R>(publish: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const makeGate = (lanes: number): Gate => {
  const door = Effect.unsafeMakeSemaphore(1)
  const permits = Effect.unsafeMakeSemaphore(lanes)
  const through = (wanted: number) => <A, E, R>(publish: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.zipRight(
        restore(door.withPermits(1)(permits.take(wanted))),
        Effect.ensuring(restore(publish), permits.release(wanted))
      )
    )
  return { shared: through(1), alone: through(lanes) }
}
