/**
 * Idempotency keys: a command that is sent again with the key of an earlier one is not run again, and has its answer.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Answers from "./internal/answers.ts"
import { type Claim, currentClaim, makeTurns } from "./internal/claims.ts"
import { makeMemoryIdempotency } from "./internal/memoryIdempotency.ts"
import { purgeBeside, type PurgeOptions } from "./internal/purging.ts"
import type { Definition } from "./internal/request.ts"
import { victims } from "./internal/victims.ts"
import * as Metrics from "./Metrics.ts"
import * as Middleware from "./Middleware.ts"
import { StorageError } from "./OutboxStorage.ts"
import * as Transaction from "./Transaction.ts"
import { Transactor } from "./Transactor.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Key {
  /** Whose key it is: callers of different scopes may use the same keys and do not meet. */
  readonly scope: string
  /** What the caller chose for this command, and for its repetitions. */
  readonly key: string
}

/**
 * What stands behind a key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  /** Of the command, with all its fields. */
  readonly fingerprint: string
  /** `undefined` only inside the transaction that has claimed the key and not answered yet. */
  readonly answer: Answer | undefined
}

/**
 * What a command was answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly outcome: "success" | "failure"
  /** As JSON, by the command's schema of its success or failure; empty for `undefined`. */
  readonly body: string
}

/**
 * - `Mismatch`: the key belongs to another command, or to one with other fields.
 * - `InProgress`: the command with this key is still being handled, and this one has waited for it.
 * - `Unusable`: the storage cannot hold the key: it is too long, or has a character that the database lacks.
 * - `Unreadable`: the command is done, but its answer was stored by a program whose schema differs.
 * - `Unavailable`: the storage of the keys cannot be reached. Nothing was done.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdempotencyError
  extends Schema.TaggedError<IdempotencyError>("@effect-cqrs/core/IdempotencyError")("IdempotencyError", {
    reason: Schema.Literal("Mismatch", "InProgress", "Unusable", "Unreadable", "Unavailable"),
    message: Schema.String,
    cause: Schema.optional(Schema.Defect)
  })
{}

/**
 * Remembers keys, and what was answered, for as long as its retention says: that is the window in which a repetition is
 * known.
 *
 * @since 0.1.0
 * @category tags
 */
export class IdempotencyStorage
  extends Context.Tag("@effect-cqrs/core/Idempotency/IdempotencyStorage")<IdempotencyStorage, {
    /**
     * Claims a key inside the open transaction and as part of it; answers what stands behind it if it is taken. A second
     * transaction with the key waits for the first to end. A key that the storage cannot hold is a `StorageError` with
     * the reason `Configuration`.
     */
    readonly claim: (
      key: Key,
      fingerprint: string
    ) => Effect.Effect<Option.Option<Stored>, StorageError | Transaction.TransactionError, Transaction.Transaction>

    /** Stores the answer behind a key that this transaction has claimed, as part of it. */
    readonly answer: (
      key: Key,
      answer: Answer
    ) => Effect.Effect<void, StorageError | Transaction.TransactionError, Transaction.Transaction>

    /**
     * Deletes the oldest of the keys that are older than the retention, at most `limit`; answers how many. By itself, in
     * a short transaction that holds up no `claim` of another key. Several processes may call it at once.
     */
    readonly purge: (options: { readonly limit: number }) => Effect.Effect<number, StorageError>
  }>()
{}

/**
 * Gives the command that an effect sends a key. It has an effect on commands with the middleware {@link Idempotent}, and
 * only on the first of them that is sent: not on those that its handler sends, nor on those of event handlers.
 *
 * @example
 * ```ts
 * import { Bootstrap, Command, Handler, Idempotency, Mediator } from "@effect-cqrs/core"
 * import { Effect, Layer, Schema } from "effect"
 *
 * class Charge extends Command.make<Charge>()("Charge", {
 *   payload: { cents: Schema.Int },
 *   success: Schema.Int,
 *   middleware: [Idempotency.Idempotent]
 * }) {}
 *
 * let charged = 0
 * const ChargeHandler = Handler.layer(Charge, ({ cents }) => Effect.sync(() => charged += cents))
 *
 * const charge = Idempotency.provide(Mediator.send(new Charge({ cents: 100 })), { key: "8e03978e-40d5" })
 *
 * const answers = await Effect.runPromise(
 *   Effect.all([charge, charge]).pipe(Effect.provide(Layer.provideMerge(ChargeHandler, Bootstrap.layer())))
 * )
 * console.log(answers, charged) // [ 100, 100 ] 100
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: {
    readonly key: string
    /** Default: the empty text, for all callers. */
    readonly scope?: string | undefined
    /** Runs before a stored answer is given. */
    readonly onReplay?: Effect.Effect<void> | undefined
  }
): Effect.Effect<A, E, R> =>
  Effect.suspend(() =>
    Effect.locally(effect, currentClaim, {
      key: { scope: options.scope ?? "", key: options.key },
      onReplay: options.onReplay ?? Effect.void,
      fingerprint: undefined
    })
  )

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Transaction.Options {
  /**
   * How long a repetition waits while the first is being handled, until it fails with `InProgress`: in this process without
   * a database connection, then, if the first is in another process, once more as long (at least a second) with one.
   * Default 5 seconds.
   */
  readonly wait?: Duration.DurationInput | undefined
}

/**
 * As `Transaction.Transactional`, in place of it, and more: sent with a key ({@link provide}), a command runs once.
 *
 * - **Once.** Its key is stored by the transaction of its writes, and so is its answer: the success, or its own declared
 *   failure, for which what the handler wrote is rolled back to a savepoint. Sent again it has the same answer, and no
 *   handler runs.
 * - **What is no answer.** A `TransactionError`, the failure of a middleware, a defect and an interruption store nothing:
 *   sent again the command runs. So does one whose process died before the commit. After an `OutcomeUnknown` the
 *   repetition finds out.
 * - **Another command** with the key, or other fields, fails with the reason `Mismatch`.
 * - **At the same time**, one runs. The others wait, then have its answer, or run if it stored none; or fail with
 *   `InProgress` after a while.
 * - **Victims** of deadlocks are repeated as a whole, up to 5 times within about a second, unless `retry` says otherwise.
 *
 * Without a key it does what `Transactional` does. What the handler does outside of the transaction is not protected.
 *
 * Answers are stored as they are encoded: a command whose answer is a secret is better repeated.
 *
 * @since 0.1.0
 * @category tags
 */
export class Idempotent extends Middleware.make<Idempotent>()("Idempotent", {
  provides: Transaction.Transactional.provides as ReadonlyArray<Context.Tag<any, any>> as ReadonlyArray<
    Context.Tag<Transaction.Transaction, Sealed>
  >,
  failure: Schema.Union(Transaction.TransactionError, IdempotencyError),
  kinds: ["command"]
}) {
  /** With the options of `Transaction.run`. The transactor and the storage are those the layer is built with. */
  static layerWith(options: Options): Layer.Layer<Idempotent, never, Transactor | IdempotencyStorage> {
    return Middleware.layer(
      Idempotent,
      Effect.zipWith(
        IdempotencyStorage,
        Transactor,
        (storage, transactor) =>
          wrapWith(
            storage,
            options,
            (effect, options) =>
              unsafeCoerce(Effect.provideService(Transaction.run(effect, options), Transactor, transactor))
          )
      )
    )
  }

  static readonly layer: Layer.Layer<Idempotent, never, Transactor | IdempotencyStorage> = Idempotent.layerWith({})
}

/**
 * Purges a storage beside the program, as `Inbox.purging` does. For layers that make an {@link IdempotencyStorage}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const purging = (
  storage: Pick<Context.Tag.Service<IdempotencyStorage>, "purge">,
  options?: PurgeOptions | undefined
): Effect.Effect<void, never, Scope.Scope> => purgeBeside("The idempotency keys", storage.purge, options)

/**
 * Keys inside this process, which forgets them with it. It keeps them for a day.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<IdempotencyStorage> = Layer.suspend(() => layerMemoryWith({}))

/**
 * As {@link layerMemory}, with a retention of one's own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemoryWith = (options: {
  /** How long keys are kept. Default a day. */
  readonly retention?: Duration.DurationInput | undefined
}): Layer.Layer<IdempotencyStorage> =>
  Layer.scoped(
    IdempotencyStorage,
    Effect.suspend(() => {
      const retention = Duration.decode(options.retention ?? Duration.days(1))
      return Effect.tap(
        makeMemoryIdempotency(retention),
        // seldom: a test that lets a day go by would have to wait for each
        (storage) => purging(storage, { interval: Duration.times(retention, 0.01) })
      )
    })
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

declare const sealed: unique symbol

/** What is behind the tag of a transaction is nobody's to read or to make up. */
interface Sealed {
  readonly [sealed]: never
}

type Failures = Transaction.TransactionError | IdempotencyError

/** {@link Transaction.run} with the transactor that the layer was built with. */
type Run = <A, E>(
  effect: Effect.Effect<A, E, Transaction.Transaction>,
  options: Transaction.Options
) => Effect.Effect<A, E | Transaction.TransactionError>

const wrapWith = (
  storage: Context.Tag.Service<IdempotencyStorage>,
  options: Options,
  run: Run
): Middleware.Wrap<Transaction.Transaction, Failures> => {
  const wait = Duration.decode(options.wait ?? Duration.seconds(5))
  const turns = makeTurns(wait, inProgress)

  const keyed = <A, E>(
    next: Effect.Effect<A, E, Transaction.Transaction>,
    definition: Definition,
    claim: Claim & { readonly fingerprint: string }
  ): Effect.Effect<A, E | Failures> => {
    const store = (answer: Effect.Effect<Answer>) =>
      Effect.flatMap(answer, (answer) => Effect.mapError(storage.answer(claim.key, answer), storageFailed))

    /** Commits in either case: with the success, or with nothing but the declared failure. */
    const first = Effect.matchEffect(run(Effect.locally(next, currentClaim, undefined), {}), {
      onFailure: (error): Effect.Effect<Either.Either<A, E>, E | Failures, Transaction.Transaction> =>
        Answers.isDeclared(definition, error)
          ? Effect.as(store(Answers.ofFailure(definition, error)), Either.left(error as E))
          : Effect.fail(error),
      onSuccess: (value) => Effect.as(store(Answers.ofSuccess(definition, value)), Either.right(value))
    })

    const again = ({ answer, fingerprint }: Stored): Effect.Effect<Either.Either<A, E>, IdempotencyError> => {
      if (fingerprint !== claim.fingerprint) return Effect.fail(mismatch(definition))
      if (answer === undefined) return Effect.fail(inProgress())
      return Answers.read<A, E>(definition, answer).pipe(
        Effect.mapError((cause) =>
          new IdempotencyError({
            reason: "Unreadable",
            message: `${definition.id} was done with this key, and its answer was stored by a program whose schema ` +
              "differs: it is not run again",
            cause
          })
        ),
        Effect.zipLeft(Effect.zipRight(
          Effect.tagMetrics(Metric.increment(Metrics.replayed), { name: definition.id, outcome: answer.outcome }),
          claim.onReplay
        ))
      )
    }

    const claimed = storage.claim(claim.key, claim.fingerprint).pipe(
      Effect.mapError(storageFailed),
      Effect.timeoutFail({ duration: Duration.max(wait, Duration.seconds(1)), onTimeout: inProgress })
    )
    return turns(
      claim.key,
      Effect.flatten(run(
        Effect.flatMap(
          claimed,
          (stored): Effect.Effect<Either.Either<A, E>, E | Failures, Transaction.Transaction> =>
            stored._tag === "None" ? first : again(stored.value)
        ),
        { isolation: options.isolation, retry: options.retry ?? victims }
      ))
    )
  }

  return (next, call) =>
    Effect.withFiberRuntime((fiber) => {
      const claim = fiber.getFiberRef(currentClaim)
      if (claim === undefined) return run(next, options)
      const definition = unsafeCoerce<unknown, Definition>(call.value.constructor)
      return Effect.flatMap(Answers.fingerprint(definition, call.value), (fingerprint) => {
        // the first command it is asked for takes it; the same one may come again, by a retry
        claim.fingerprint ??= fingerprint
        return claim.fingerprint === fingerprint
          ? keyed(next, definition, { ...claim, fingerprint })
          : run(next, options)
      })
    })
}

const mismatch = (definition: Definition) =>
  new IdempotencyError({
    reason: "Mismatch",
    message: `The idempotency key belongs to another command than this ${definition._tag}, or to one with other ` +
      "fields: choose a new key for each command"
  })

const inProgress = () =>
  new IdempotencyError({
    reason: "InProgress",
    message: "The command with this idempotency key is still being handled: send it again in a while"
  })

const storageFailed = (error: StorageError | Transaction.TransactionError): Failures => {
  if (!(error instanceof StorageError)) return error
  return new IdempotencyError({
    reason: error.reason === "Configuration" ? "Unusable" : "Unavailable",
    message: error.message,
    cause: error
  })
}
