/**
 * LISTEN and NOTIFY on PostgreSQL: a commit in one process wakes the relays of the others.
 *
 * @since 0.1.0
 */
import * as IdGenerator from "@effect-cqrs/core/IdGenerator"
import { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Wake from "@effect-cqrs/core/Wake"
import { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { namesOf } from "./internal/dialect.ts"
import { postgres } from "./internal/postgres/dialect.ts"
import type { Options as TableOptions } from "./internal/tables.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<TableOptions, "prefix"> {
  /**
   * How often it is made sure that notifications still arrive; a connection on which they do not is replaced, within this
   * time and five seconds. Default 10 seconds.
   */
  readonly heartbeat?: Duration.DurationInput | undefined
  /**
   * A client for listening alone, which is made anew for each connection. Default: the listening connection of the
   * program's client. Give one where the program itself listens on that: a lost connection that others hold on to is not
   * replaced.
   */
  readonly listener?: Layer.Layer<SqlClient, SqlError> | undefined
}

/**
 * While it lives, commits of this process that stored events are told to others, and those of others wake the relays of
 * this one at once, where they would otherwise wait for their next poll. Put it beside `SqlStorage.layer` of the same
 * prefix, on the client of @effect/sql-pg; it takes one more connection to the database.
 *
 * A notification is sent after the commit and outside of the transaction, which it would make wait for others; in a burst
 * there is one at once and then one every 5 milliseconds at most. It says only that there may be work, and nothing rests
 * on it: one that is lost costs the time to the next poll.
 *
 * A lost connection is replaced, with pauses that grow to 30 seconds; relays then look once for what came meanwhile.
 * Connections through a pooler that does not pass on LISTEN (PgBouncer in transaction mode) are reported as a warning.
 * Building the layer does not wait for the database. It fails with the reason `Configuration` if the client cannot listen
 * or an option cannot be.
 *
 * @example
 * ```ts
 * import { Bootstrap } from "@effect-cqrs/core"
 * import { PgNotifications, SqlStorage } from "@effect-cqrs/sql"
 * import { PgClient } from "@effect/sql-pg"
 * import { Config, Layer } from "effect"
 *
 * export const Main = Bootstrap.layer({
 *   storage: PgNotifications.layer().pipe(
 *     Layer.provideMerge(SqlStorage.layer()),
 *     Layer.provide(PgClient.layerConfig({ url: Config.redacted("DATABASE_URL") }))
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options | undefined
): Layer.Layer<never, StorageError, SqlClient | OutboxStorage> => Layer.scopedDiscard(make(options ?? {}))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** What the client of @effect/sql-pg has beside a `SqlClient`: who has no PostgreSQL need not install it. */
interface Listening extends SqlClient {
  readonly listen: (channel: string) => Stream.Stream<string, SqlError>
}

const listeningOf = (sql: SqlClient): Effect.Effect<Listening, StorageError> =>
  "listen" in sql
    ? Effect.succeed(sql as Listening)
    : Effect.fail(
      new StorageError({
        reason: "Configuration",
        message: "Only PostgreSQL has notifications: give this layer the client of @effect/sql-pg, or leave it out"
      })
    )

/** Who this process is on the channel, and how many of the signals came from there. */
interface Self {
  readonly id: string
  learnt: number
}

/** Two layers on one storage are one: else each would take what the other has learnt for a commit. */
const selves = new WeakMap<Wake.Wake, Self>()

const selfOf = (arrivals: Wake.Wake): Effect.Effect<Self> =>
  Effect.gen(function*() {
    const makeId = yield* IdGenerator.IdGenerator
    const id = makeId(yield* Clock.currentTimeMillis)
    const self = selves.get(arrivals) ?? { id, learnt: 0 }
    selves.set(arrivals, self)
    return self
  })

const make = (options: Options) =>
  Effect.gen(function*() {
    const sql = yield* listeningOf(yield* SqlClient)
    const { arrivals } = yield* OutboxStorage
    const names = yield* namesOf(options.prefix ?? "cqrs_")
    const channel = postgres.unquoted(names.outbox)
    const heartbeat = Duration.decode(options.heartbeat ?? Duration.seconds(10))
    if (!(Duration.toMillis(heartbeat) >= 100)) {
      return yield* new StorageError({
        reason: "Configuration",
        message: "The heartbeat of the notifications must last at least 100 milliseconds, and should last some seconds"
      })
    }
    const self = yield* selfOf(arrivals)
    const heard = yield* Wake.make

    const say = (what: "arrived" | "listening") =>
      sql.unsafe("select pg_notify($1, $2)", [channel, `${what} ${self.id}`]).raw

    // counted first: a signal whose origin is not known yet would be passed on
    const learn = Effect.zipRight(Effect.sync(() => self.learnt += 1), arrivals.signal)

    const hear = (payload: string) =>
      payload === `listening ${self.id}`
        ? heard.signal
        : payload.startsWith("arrived ") && payload !== `arrived ${self.id}`
        ? learn
        : Effect.void

    // what is said before LISTEN has taken effect is not heard, and is said again
    const beat = Effect.flatMap(heard.version, (before) =>
      Effect.repeat(
        Effect.zipRight(say("listening"), Effect.timeoutOption(heard.waitPast(before), "50 millis")),
        { until: Option.isSome }
      )).pipe(
        Effect.timeoutFail({
          duration: "5 seconds",
          onTimeout: () => new SqlError({ cause: undefined, message: "What was sent did not arrive within 5 seconds" })
        })
      )

    /** Listens on one connection, and fails when that is lost. */
    const listen = Effect.scoped(Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Effect.addFinalizer(() => atMostASecond(Scope.close(scope, Exit.void)))
      const { listener } = options
      const client = listener === undefined
        ? sql
        : yield* listeningOf(Context.get(yield* Layer.buildWithScope(Layer.fresh(listener), scope), SqlClient))
      const listening = yield* Effect.forkIn(
        Effect.interruptible(Stream.runForEach(client.listen(channel), hear)),
        scope
      )
      const ended = Effect.zipRight(
        Fiber.join(listening),
        new SqlError({ cause: undefined, message: "The stream of notifications has ended" })
      )
      const beats = beat.pipe(
        // what was committed while nobody listened
        Effect.zipRight(learn),
        Effect.zipRight(Effect.forever(Effect.zipRight(Effect.sleep(heartbeat), beat)))
      )
      yield* Effect.raceFirst(ended, beats)
    }))

    const listenOn = listen.pipe(
      Effect.catchAllDefect(Effect.fail),
      Effect.tapError((error) =>
        Effect.logWarning(
          "Notifications of other processes do not arrive. Until they do, the relays find their events by polling",
          error
        )
      ),
      Effect.retry(pauses)
    )

    const tell = Effect.gen(function*() {
      let seen = yield* arrivals.version
      let told = seen - self.learnt
      yield* Effect.forever(Effect.gen(function*() {
        yield* arrivals.waitPast(seen)
        seen = yield* arrivals.version
        const own = seen - self.learnt
        if (own <= told) return
        told = own
        yield* Effect.catchAll(say("arrived"), (error) => Effect.logDebug("A notification could not be sent", error))
        yield* Effect.sleep("5 millis")
      }))
    })

    const ears = yield* Effect.forkDaemon(Effect.withTracerEnabled(Effect.interruptible(listenOn), false))
    yield* Effect.addFinalizer(() => atMostASecond(Fiber.interrupt(ears)))
    yield* Effect.forkScoped(Effect.withTracerEnabled(Effect.interruptible(tell), false))
  })

const pauses = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced("30 seconds")),
  Schedule.jittered,
  Schedule.resetAfter("1 minute")
)

/** Runs it to its end, but does not wait for that: a connection that is gone does not answer, and nobody else has to. */
const atMostASecond = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.forkDaemon(effect),
    (fiber) => Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), "1 second")
  )
