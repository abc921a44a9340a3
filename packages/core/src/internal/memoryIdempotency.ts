import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { IdempotencyStorage, Key, Stored } from "../Idempotency.ts"
import { makeMemoryKeys } from "./memoryKeys.ts"

const nameOf = ({ key, scope }: Key): string => JSON.stringify([scope, key])

export const makeMemoryIdempotency = (
  retention: Duration.Duration
): Effect.Effect<Context.Tag.Service<IdempotencyStorage>> =>
  Effect.map(makeMemoryKeys<Stored>(retention), (keys) => ({
    claim: (key, fingerprint) =>
      Effect.map(
        keys.register(nameOf(key), { fingerprint, answer: undefined }),
        (found) => found === undefined ? Option.none() : Option.some(found.value)
      ),
    answer: (key, answer) => keys.change(nameOf(key), (stored) => ({ ...stored, answer })),
    purge: ({ limit }) => keys.purge(limit)
  }))
