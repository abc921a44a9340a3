import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as GlobalValue from "effect/GlobalValue"
import type { Key } from "../Idempotency.ts"

/** A key, for the command that takes it first. */
export interface Claim {
  readonly key: Key
  readonly onReplay: Effect.Effect<void>
  /** That of the command which took it. */
  fingerprint: string | undefined
}

export const currentClaim: FiberRef.FiberRef<Claim | undefined> = GlobalValue.globalValue(
  "@effect-cqrs/core/currentClaim",
  () => FiberRef.unsafeMake<Claim | undefined>(undefined)
)

/** Lets effects of one key run one after the other: those that wait hold no database connection. */
export const makeTurns = <E1>(wait: Duration.Duration, onTimeout: () => E1) => {
  const busy = new Map<string, Deferred.Deferred<void>>()

  return <A, E, R>({ key, scope }: Key, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | E1, R> => {
    const name = JSON.stringify([scope, key])
    const free: Effect.Effect<void> = Effect.suspend(() => {
      const other = busy.get(name)
      return other === undefined ? Effect.void : Effect.zipRight(Deferred.await(other), free)
    })
    const turn: Effect.Effect<A, E | E1, R> = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        // those that are free to go need no clock
        Effect.suspend(() =>
          busy.has(name) ? restore(Effect.timeoutFail(free, { duration: wait, onTimeout })) : Effect.void
        ),
        () =>
          Effect.suspend(() => {
            // woken together with others, of which one was first
            if (busy.has(name)) return restore(turn)
            const done = Deferred.unsafeMake<void>(FiberId.none)
            busy.set(name, done)
            return Effect.ensuring(
              restore(effect),
              Effect.suspend(() => {
                busy.delete(name)
                return Deferred.succeed(done, undefined)
              })
            )
          })
      )
    )
    return turn
  }
}
