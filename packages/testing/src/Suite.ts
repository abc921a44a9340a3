/**
 * What the conformance suites have in common: the test runner they are handed, and features that an adapter lacks.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * The test runner's own `describe` and `it`, those of `@effect/vitest`: handed over, so that this package can be imported
 * outside of any runner.
 *
 * @since 0.1.0
 * @category models
 */
export interface Runner {
  readonly describe: (name: string, collect: () => void) => unknown
  readonly it: {
    readonly scopedLive: <A, E>(
      name: string,
      test: () => Effect.Effect<A, E, Scope.Scope>,
      timeout?: number | undefined
    ) => unknown
    readonly skip: (name: string, test: () => void) => unknown
  }
}

/**
 * A feature that an adapter does not have, with the reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unsupported {
  readonly _tag: "Unsupported"
  readonly reason: string
}

/**
 * Something that not every adapter can have. Every suite asks for an answer: what a feature's cases would prove is never
 * left out silently.
 *
 * @since 0.1.0
 * @category models
 */
export type Feature<A> = A | Unsupported

/**
 * Says that an adapter lacks a feature. Its cases show as skipped, with the reason.
 *
 * @example
 * ```ts
 * import { Suite } from "@effect-cqrs/testing"
 * import * as assert from "node:assert"
 *
 * const restart = Suite.unsupported("it forgets everything with the process")
 *
 * assert.strictEqual(restart.reason, "it forgets everything with the process")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsupported = (reason: string): Unsupported => ({ _tag: "Unsupported", reason })
