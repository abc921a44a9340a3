import * as Effect from "effect/Effect"

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** One at a time, in the order they come: as a semaphore of one permit, which takes three times the steps. */
export class Turn {
  private isTaken = false
  private readonly waiting = new Set<() => void>()

  /** Runs an effect when it is its turn. Interrupted while it waits, it lets the next one pass. */
  readonly alone = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    this.hold((restore) => restore(effect))

  /** The same, with the turn in a region that cannot be interrupted. */
  readonly hold = <A, E, R>(use: (restore: Restore) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) => {
      if (!this.isTaken) {
        this.isTaken = true
        return this.passing(Effect.suspend(() => use(restore)))
      }
      let isMine = false
      const wait = Effect.async<void>((resume) => {
        const woken = () => {
          isMine = true
          resume(Effect.void)
        }
        this.waiting.add(woken)
        return Effect.sync(() => this.waiting.delete(woken))
      })
      return Effect.matchCauseEffect(restore(wait), {
        onFailure: (cause) => {
          // woken and interrupted at once
          if (isMine) this.pass()
          return Effect.failCause(cause)
        },
        onSuccess: () => this.passing(Effect.suspend(() => use(restore)))
      })
    })

  private passing<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.matchCauseEffect(effect, {
      onFailure: (cause) => {
        this.pass()
        return Effect.failCause(cause)
      },
      onSuccess: (value) => {
        this.pass()
        return Effect.succeed(value)
      }
    })
  }

  private pass(): void {
    for (const next of this.waiting) {
      this.waiting.delete(next)
      return next()
    }
    this.isTaken = false
  }
}
