/**
 * Dead letters of the outbox: what the broker would not take, for somebody to look at, to send again or to give up.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import {
  type DeadLetter,
  type DeadLetterCount,
  type DeadLetterFilter,
  OutboxStorage,
  type StorageError
} from "./OutboxStorage.ts"

/**
 * Which dead letters are meant: those of some sequences, or all for which a filter holds. An empty filter means all.
 *
 * @since 0.1.0
 * @category models
 */
export type Selection = { readonly sequences: ReadonlyArray<bigint> } | DeadLetterFilter

/**
 * What is called as a redrive or a discard goes on, with how many are done so far.
 *
 * @since 0.1.0
 * @category models
 */
export type OnProgress = (progress: { readonly done: number }) => Effect.Effect<void>

/**
 * Changes take effect step by step, oldest first: one that is interrupted or fails has done what it has reported, and
 * called again it does the rest. Whoever else works on the same letters meanwhile is not disturbed: each letter is changed
 * once, and counted by whoever has changed it.
 *
 * @since 0.1.0
 * @category tags
 */
export class DeadLetters extends Context.Tag("@effect-cqrs/core/DeadLetters")<DeadLetters, {
  /** The first ones by sequence; the next page begins `after` the last one. `limit` is 100 unless given. */
  readonly list: (
    options?: DeadLetterFilter & { readonly limit?: number | undefined }
  ) => Effect.Effect<ReadonlyArray<DeadLetter>, StorageError>

  /** All of them, by sequence, read page by page. */
  readonly stream: (filter?: DeadLetterFilter) => Stream.Stream<DeadLetter, StorageError>

  /** How many there are, by topic and reason, most first. */
  readonly count: (filter?: DeadLetterFilter) => Effect.Effect<ReadonlyArray<DeadLetterCount>, StorageError>

  /** One of them, with its message. */
  readonly inspect: (sequence: bigint) => Effect.Effect<Option.Option<DeadLetter>, StorageError>

  /**
   * Makes them pending again, in the order of their sequences and with no attempts counted; answers how many. A key that
   * they halted goes on behind them, in order; under `skip` later events of their key have gone before them. A relay of
   * this process begins at once, others with their next poll. A letter that is redriven and dies again meanwhile is not
   * redriven twice by one call.
   */
  readonly redrive: (
    selection: Selection,
    onProgress?: OnProgress | undefined
  ) => Effect.Effect<number, StorageError>

  /** Deletes them for good; answers how many. Keys that they halted go on without them. */
  readonly discard: (
    selection: Selection,
    onProgress?: OnProgress | undefined
  ) => Effect.Effect<number, StorageError>
}>() {}

/**
 * The dead letters of the program's outbox.
 *
 * @example
 * ```ts
 * import { DeadLetters, OutboxStorage } from "@effect-cqrs/core"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const letters = yield* DeadLetters.DeadLetters
 *   for (const { count, reason, topic } of yield* letters.count()) {
 *     yield* Effect.log(`${topic}: ${count} times ${reason}`)
 *   }
 *   yield* letters.redrive({ topic: "rooms" })
 * })
 *
 * const Main = Layer.provide(DeadLetters.layer, OutboxStorage.layerMemory())
 * await Effect.runPromise(Effect.provide(program, Main))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<DeadLetters, never, OutboxStorage> = Layer.effect(
  DeadLetters,
  Effect.map(OutboxStorage, (storage) => {
    const pages = (filter: DeadLetterFilter) =>
      Stream.paginateChunkEffect(
        filter.after,
        (after) =>
          Effect.map(storage.deadLetters({ ...filter, after, limit: page }), (letters) => {
            const last = letters.at(-1)
            return [
              Chunk.unsafeFromArray(letters),
              last === undefined ? Option.none() : Option.some(last.sequence)
            ] as const
          })
      )

    const sequencesOf = (selection: Selection): Stream.Stream<ReadonlyArray<bigint>, StorageError> =>
      ("sequences" in selection
        ? Stream.fromIterable([...new Set(selection.sequences)].sort((a, b) => a < b ? -1 : 1))
        : Stream.map(pages(selection), ({ sequence }) => sequence)).pipe(
          Stream.rechunk(page),
          Stream.chunks,
          Stream.map(Chunk.toReadonlyArray)
        )

    const change =
      (apply: (sequences: ReadonlyArray<bigint>) => Effect.Effect<number, StorageError>) =>
      (selection: Selection, onProgress?: OnProgress | undefined) =>
        Stream.runFoldEffect(sequencesOf(selection), 0, (done, sequences) =>
          Effect.tap(
            Effect.map(apply(sequences), (changed) => done + changed),
            (total) => onProgress?.({ done: total }) ?? Effect.void
          ))

    return DeadLetters.of({
      list: (options) => storage.deadLetters({ ...options, limit: options?.limit ?? 100 }),
      stream: (filter) => pages(filter ?? {}),
      count: (filter) => storage.deadLetterCounts(filter ?? {}),
      inspect: (sequence) =>
        Effect.map(
          storage.deadLetters({ after: sequence - 1n, limit: 1 }),
          ([letter]) => letter?.sequence === sequence ? Option.some(letter) : Option.none()
        ),
      redrive: change(storage.redrive),
      discard: change(storage.discard)
    })
  })
)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Letters that are read, and changed together. */
const page = 500
