/**
 * The promises of idempotency keys, as a suite that every storage of them runs.
 *
 * @since 0.1.0
 */
import * as Command from "@effect-cqrs/core/Command"
import * as Handler from "@effect-cqrs/core/Handler"
import * as Idempotency from "@effect-cqrs/core/Idempotency"
import * as Mediator from "@effect-cqrs/core/Mediator"
import * as Transaction from "@effect-cqrs/core/Transaction"
import type { Transactor } from "@effect-cqrs/core/Transactor"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import { texts } from "./Fixtures.ts"
import { assertIds, casesOf } from "./internal/cases.ts"
import type { Feature, Runner } from "./Suite.ts"

type Services = Transactor | Idempotency.IdempotencyStorage

/**
 * What the suite must be told of a storage: how to build it, and how a program writes to its database. `R` is what these
 * statements need, as a SQL client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** An empty database of this name, and the transactor and the storage on it. */
  readonly layer: (name: string) => Layer.Layer<Services | R, unknown>
  /** Stores a fact, as the domain writes of a handler would. Each is written once. */
  readonly write: (fact: string) => Effect.Effect<unknown, unknown, R | Transaction.Transaction>
  /** The facts that are stored. Called outside of transactions. */
  readonly read: Effect.Effect<ReadonlyArray<string>, unknown, R>
  /** Makes all that the storage remembers older by so much. */
  readonly age: (by: Duration.Duration) => Effect.Effect<unknown, unknown, R>
  /** How long the storage of `layer` keeps a key. Default a day. */
  readonly retention?: Duration.Duration | undefined
  /**
   * What was stored is there when another layer is built for the same name within the scope: several of them at a time
   * are as several processes.
   */
  readonly reopen: Feature<
    (name: string) => Effect.Effect<Layer.Layer<Services | R, unknown>, unknown, Scope.Scope>
  >
  /** How long a case may take, in milliseconds. Default: 30,000. */
  readonly timeout?: number | undefined
}

/**
 * Runs the suite: each case on a database of its own.
 *
 * @example
 * ```ts
 * import { Bootstrap, Transaction } from "@effect-cqrs/core"
 * import { IdempotencySuite, Suite } from "@effect-cqrs/testing"
 * import { Clock, Context, Duration, Effect, Layer } from "effect"
 *
 * class Keys extends Context.Tag("Keys")<Keys, Set<string>>() {}
 *
 * let ahead = 0
 * const clock: Clock.Clock = Object.assign(Clock.make(), {
 *   currentTimeMillis: Effect.sync(() => Date.now() + ahead)
 * })
 *
 * export const memory = (runner: Suite.Runner) =>
 *   IdempotencySuite.suite<Keys>("memory", {
 *     ...runner,
 *     layer: () =>
 *       Layer.mergeAll(Bootstrap.layerStorageMemory, Layer.sync(Keys, () => new Set()), Layer.setClock(clock)),
 *     age: (by) => Effect.sync(() => void (ahead += Duration.toMillis(by))),
 *     write: (key) =>
 *       Effect.flatMap(Keys, (keys) => {
 *         keys.add(key)
 *         return Transaction.afterRollback(Effect.sync(() => keys.delete(key)))
 *       }),
 *     read: Effect.map(Keys, (keys) => [...keys]),
 *     reopen: Suite.unsupported("it forgets everything with the process")
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const { read, write } = facts
  const cases = casesOf(facts, { timeout: facts.timeout ?? 30_000 })

  /** How the handler ends, by what it is asked for. */
  const handler = Handler.layer(
    Note,
    Effect.gen(function*() {
      const hooks = yield* Hooks
      const context = yield* Effect.context<R>()
      return Effect.fnUntraced(function*({ ending, fact, text }) {
        hooks.runs += 1
        yield* Effect.orDie(
          write(fact).pipe(
            Effect.mapInputContext((own: Context.Context<Transaction.Transaction>) => Context.merge(context, own))
          )
        )
        yield* hooks.during(fact)
        if (ending === "refused") return yield* new Refused({ runs: hooks.runs })
        if (ending === "dies") return yield* Effect.dieMessage("boom")
        if (ending === "interrupted") return yield* Effect.interrupt
        if (ending === "rejected") {
          return yield* new Transaction.TransactionError({ reason: "EventRejected", message: "too large" })
        }
        return ending === "void" ? undefined : { runs: hooks.runs, fact: text ?? fact }
      })
    })
  )

  const programOf = (options: Idempotency.Options) =>
    handler.pipe(Layer.provide(Idempotency.Idempotent.layerWith(options)), Layer.provideMerge(Hooks.layer))

  type Test<A = void> = Effect.Effect<A, unknown, Handler.Handler<Note> | Hooks | Services | R | Scope.Scope>

  const it = (name: string, test: Test, options: Idempotency.Options = {}) =>
    cases.it(name, (id) => Effect.provide(test, Layer.provideMerge(programOf(options), facts.layer(id))))

  const assertFacts = (expected: ReadonlyArray<string>) =>
    Effect.map(read, (found) => assertIds("facts", found, expected))

  facts.describe(`${name}: idempotency keys`, () => {
    it(
      "a command that is sent again has the answer of the first, and does nothing",
      Effect.gen(function*() {
        const first = yield* send("a", { fact: "one" })
        assert.deepStrictEqual(first, { runs: 1, fact: "one" })
        for (let n = 0; n < 3; n++) assert.deepStrictEqual(yield* send("a", { fact: "one" }), first)
        assert.strictEqual((yield* Hooks).runs, 1)
        yield* assertFacts(["one"])
      })
    )

    it(
      "an answer without a value comes back without one",
      Effect.gen(function*() {
        assert.strictEqual(yield* send("a", { fact: "one", ending: "void" }), undefined)
        assert.strictEqual(yield* send("a", { fact: "one", ending: "void" }), undefined)
        assert.strictEqual((yield* Hooks).runs, 1)
      })
    )

    it(
      "a declared failure is an answer: it comes again, and what the handler wrote is gone",
      Effect.gen(function*() {
        for (let n = 0; n < 3; n++) {
          const error = yield* Effect.flip(send("a", { fact: "one", ending: "refused" }))
          assert.deepStrictEqual<unknown>(error, new Refused({ runs: 1 }))
        }
        assert.strictEqual((yield* Hooks).runs, 1)
        yield* assertFacts([])
      })
    )

    for (const ending of ["dies", "interrupted", "rejected"] as const) {
      it(
        `a handler that ${ending === "dies" ? ending : `is ${ending}`} has not answered: sent again the command runs`,
        Effect.gen(function*() {
          const hooks = yield* Hooks
          assert.ok(Exit.isFailure(yield* Effect.exit(send("a", { fact: "one", ending }))))
          yield* assertFacts([])
          assert.ok(Exit.isFailure(yield* Effect.exit(send("a", { fact: "one", ending }))))
          assert.strictEqual(hooks.runs, 2)
          assert.deepStrictEqual(yield* send("a", { fact: "other" }), { runs: 3, fact: "other" })
          yield* assertFacts(["other"])
        })
      )
    }

    it(
      "another command, or other fields, with a key that is taken are refused",
      Effect.gen(function*() {
        yield* send("a", { fact: "one" })
        const error = yield* Effect.flip(send("a", { fact: "two" }))
        assert.ok(error instanceof Idempotency.IdempotencyError, String(error))
        assert.strictEqual(error.reason, "Mismatch")
        yield* assertFacts(["one"])
      })
    )

    it(
      "keys and scopes are independent of each other, however alike",
      Effect.gen(function*() {
        const values = ["a", "b", "A", "a ", " a", "á", "a\u0301", "ａ", "ab", ...texts]
        const keys = [
          ...values.flatMap((value) => [{ key: value }, { key: "key", scope: value }]),
          { key: "yz", scope: "x" },
          { key: "z", scope: "xy" }
        ]
        for (const [n, key] of keys.entries()) {
          assert.strictEqual((yield* send(key, { fact: `${n}` }))?.fact, `${n}`)
        }
        for (const [n, key] of keys.entries()) {
          assert.strictEqual((yield* send(key, { fact: `${n}` }))?.fact, `${n}`)
        }
        assert.strictEqual((yield* Hooks).runs, keys.length)
        yield* assertFacts(keys.map((_, n) => `${n}`))
      })
    )

    it(
      "answers of any text come back as they were",
      Effect.gen(function*() {
        const long = "x\u{1F600}".repeat(50_000)
        for (const [n, fact] of [...texts, long].entries()) {
          const hooks = yield* Hooks
          // the answer is what counts: the fact itself need not fit into a column
          const first = yield* send(`${n}`, { fact: `fact ${n}`, text: fact })
          assert.deepStrictEqual(yield* send(`${n}`, { fact: `fact ${n}`, text: fact }), first)
          assert.strictEqual(hooks.runs, n + 1)
        }
      })
    )

    it(
      "a key that is too long is remembered whole, or refused as unusable",
      Effect.gen(function*() {
        const long = "x".repeat(10_000)
        for (const [n, key] of [{ key: long }, { key: "x", scope: long }].entries()) {
          const sent = yield* Effect.either(send(key, { fact: `long ${n}` }))
          if (Either.isRight(sent)) {
            const other = yield* send({ ...key, key: `${key.key}y` }, { fact: `other ${n}` })
            assert.strictEqual(other?.fact, `other ${n}`)
          } else {
            assert.ok(sent.left instanceof Idempotency.IdempotencyError, String(sent.left))
            assert.strictEqual(sent.left.reason, "Unusable")
          }
        }
      })
    )

    it(
      "of many at the same time one runs, and all have its answer",
      Effect.gen(function*() {
        const answers = yield* Effect.forEach(
          Array.from({ length: 60 }, (_, n) => n),
          (n) => send(`key ${n % 6}`, { fact: `${n % 6}` }),
          { concurrency: "unbounded" }
        )
        for (const [n, answer] of answers.entries()) assert.deepStrictEqual(answer, answers[n % 6])
        assert.strictEqual((yield* Hooks).runs, 6)
        yield* assertFacts(Array.from({ length: 6 }, (_, n) => `${n}`))
      })
    )

    it(
      "one that comes while the first is at work waits for it, and runs if that one does not answer",
      Effect.gen(function*() {
        const hooks = yield* Hooks
        for (const ending of ["dies", "refused", "well"] as const) {
          const { begun, go } = yield* hold
          const first = yield* Effect.fork(Effect.exit(send(ending, { fact: ending, ending })))
          yield* Deferred.await(begun)
          const before = hooks.runs
          hooks.during = () => Effect.void
          const second = yield* Effect.fork(Effect.exit(send(ending, { fact: ending, ending })))
          yield* Effect.sleep("50 millis")
          assert.strictEqual(hooks.runs, before)
          yield* Deferred.succeed(go, undefined)
          const [one, other] = [yield* Fiber.join(first), yield* Fiber.join(second)]
          assert.strictEqual(hooks.runs, ending === "dies" ? before + 1 : before)
          if (ending !== "dies") assert.deepStrictEqual(other, one)
        }
        yield* assertFacts(["well"])
      })
    )

    it(
      "one that has waited long enough says that the first is in progress, and the first is not disturbed",
      Effect.gen(function*() {
        const { begun, go } = yield* hold
        const first = yield* Effect.fork(send("a", { fact: "one" }))
        yield* Deferred.await(begun)
        const error = yield* Effect.flip(send("a", { fact: "one" }))
        assert.ok(error instanceof Idempotency.IdempotencyError, String(error))
        assert.strictEqual(error.reason, "InProgress")
        yield* Deferred.succeed(go, undefined)
        assert.deepStrictEqual(yield* Fiber.join(first), { runs: 1, fact: "one" })
        assert.deepStrictEqual(yield* send("a", { fact: "one" }), { runs: 1, fact: "one" })
      }),
      { wait: "50 millis" }
    )

    it(
      "inside another transaction all of it is part of that, and goes with it",
      Effect.gen(function*() {
        const rolledBack = Transaction.run(Effect.zipRight(send("a", { fact: "one" }), new Refused({ runs: 0 })))
        assert.ok(Exit.isFailure(yield* Effect.exit(rolledBack)))
        yield* assertFacts([])
        const both = Effect.all([send("a", { fact: "one" }), send("a", { fact: "one" })])
        const [first, second] = yield* Transaction.run(both)
        assert.deepStrictEqual(first, { runs: 2, fact: "one" })
        assert.deepStrictEqual(second, first)
        yield* assertFacts(["one"])
      })
    )

    it(
      "forgets what is older than the retention, and only that, in steps no greater than asked for",
      Effect.gen(function*() {
        const storage = yield* Idempotency.IdempotencyStorage
        const older = Duration.sum(facts.retention ?? Duration.days(1), Duration.minutes(1))
        for (let n = 0; n < 25; n++) yield* send(`old ${n}`, { fact: `${n}` })
        yield* facts.age(Duration.times(older, 0.5))
        assert.strictEqual(yield* storage.purge({ limit: 100 }), 0)
        yield* send("young", { fact: "young" })
        yield* facts.age(Duration.times(older, 0.5))
        for (const expected of [10, 10, 5, 0]) assert.strictEqual(yield* storage.purge({ limit: 10 }), expected)
        assert.deepStrictEqual(yield* send("young", { fact: "young" }), { runs: 26, fact: "young" })
        assert.deepStrictEqual(yield* send("old 0", { fact: "again" }), { runs: 27, fact: "again" })
      })
    )

    cases.itWith(facts.reopen, "remembers after a restart", (id, reopen) =>
      Effect.gen(function*() {
        const layer = yield* reopen(id)
        const process = Layer.provideMerge(programOf({}), Layer.fresh(layer))
        const sent = send("a", { fact: "one" })
        assert.deepStrictEqual(yield* Effect.provide(sent, Layer.fresh(process)), { runs: 1, fact: "one" })
        const again = Effect.zip(sent, Effect.map(Hooks, (hooks) => hooks.runs))
        assert.deepStrictEqual(yield* Effect.provide(again, Layer.fresh(process)), [{ runs: 1, fact: "one" }, 0])
      }))

    cases.itWith(
      facts.reopen,
      "of two processes that are sent the same at once one runs",
      (id, reopen) =>
        Effect.gen(function*() {
          const layer = yield* reopen(id)
          const processes = yield* Effect.all(
            [1, 2].map(() => Layer.build(Layer.fresh(Layer.provideMerge(programOf({}), Layer.fresh(layer)))))
          )
          for (const ending of ["refused", "well", "dies"] as const) {
            const { begun, go } = yield* Effect.provide(hold, processes[0]!)
            const sent = send(ending, { fact: ending, ending })
            const first = yield* Effect.fork(Effect.exit(Effect.provide(sent, processes[0]!)))
            yield* Deferred.await(begun)
            const second = yield* Effect.fork(Effect.exit(Effect.provide(sent, processes[1]!)))
            yield* Effect.sleep("100 millis")
            const { runs } = Context.get(processes[1]!, Hooks)
            assert.strictEqual(runs, 0)
            yield* Deferred.succeed(go, undefined)
            const [one, other] = [yield* Fiber.join(first), yield* Fiber.join(second)]
            assert.strictEqual(Context.get(processes[1]!, Hooks).runs, ending === "dies" ? 1 : 0)
            if (ending !== "dies") assert.deepStrictEqual(other, one)
          }
          yield* Effect.provide(assertFacts(["well"]), processes[0]!)
        })
    )
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

class Refused extends Schema.TaggedError<Refused>()("Refused", { runs: Schema.Number }) {}

class Note extends Command.make<Note>()("@effect-cqrs/testing/Note", {
  payload: {
    fact: Schema.String,
    text: Schema.optional(Schema.String),
    ending: Schema.Literal("well", "void", "refused", "dies", "interrupted", "rejected")
  },
  success: Schema.UndefinedOr(Schema.Struct({ runs: Schema.Number, fact: Schema.String })),
  failure: Refused,
  middleware: [Idempotency.Idempotent]
}) {}

/** What a test sees of the handler, and does while it is at work. */
class Hooks extends Context.Tag("@effect-cqrs/testing/IdempotencySuite/Hooks")<Hooks, {
  runs: number
  during: (fact: string) => Effect.Effect<void>
}>() {
  static readonly layer = Layer.sync(Hooks, () => ({ runs: 0, during: () => Effect.void }))
}

/** The next run of the handler stops half-way until it may go on. */
const hold = Effect.gen(function*() {
  const hooks = yield* Hooks
  const begun = yield* Deferred.make<void>()
  const go = yield* Deferred.make<void>()
  hooks.during = () => Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(go))
  return { begun, go }
})

const send = (
  key: string | { readonly key: string; readonly scope?: string },
  { ending = "well", fact, text }: { readonly fact: string; readonly text?: string; readonly ending?: Note["ending"] }
) =>
  Idempotency.provide(
    Mediator.send(new Note({ fact, ending, ...(text === undefined ? {} : { text }) })),
    typeof key === "string" ? { key } : key
  )
