import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"

/** What is there already need not be waited for: a fiber's steps for each message cost more than to read it. */
export const isReady = <A, E>(effect: Effect.Effect<A, E>): effect is Either.Either<A, E> => Either.isEither(effect)
