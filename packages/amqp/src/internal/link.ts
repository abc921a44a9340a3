import { BrokerError } from "@effect-cqrs/core/Broker"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type Judged, ofConnection } from "./classification.ts"
import type { Client, Connection } from "./client.ts"

/** A connection that comes back by itself. */
export interface Link {
  /** The connection, if there is one that is set up. */
  readonly current: () => Connection | undefined
  /** Why there is none, as a sentence. */
  readonly trouble: () => string
  /** Waits for one. */
  readonly connected: Effect.Effect<Connection>
}

export interface LinkOptions {
  /** Tried in turn, each time from another one, until there is a connection. */
  readonly clients: ReadonlyArray<Client>
  readonly recovery: Schedule.Schedule<unknown>
  /** Done with each new connection before anybody gets it. */
  readonly setUp: (connection: Connection) => Effect.Effect<void, BrokerError>
  readonly onBlocked?: ((reason: string) => void) | undefined
}

/**
 * Makes a first attempt, and goes on in the background until its scope closes. It fails only with what waiting cannot
 * mend, and only in its first attempt.
 */
export const make = (options: LinkOptions): Effect.Effect<Link, BrokerError, Scope.Scope> =>
  Effect.gen(function*() {
    let current: Connection | undefined
    let trouble = "RabbitMQ is being connected to"
    let turn = 0
    const waiting = new Set<(connection: Connection) => void>()
    const first = yield* Deferred.make<void, BrokerError>()

    const establish = Effect.suspend(() => {
      const next = turn++ % options.clients.length
      return Effect.validateFirst([...options.clients.slice(next), ...options.clients.slice(0, next)], connect)
    }).pipe(Effect.mapError(together), Effect.tap(options.setUp))

    const settled = (connection: Connection) =>
      Effect.async<void>((resume) => {
        if (options.onBlocked !== undefined) connection.onBlocked(options.onBlocked)
        current = connection
        for (const wake of waiting) wake(connection)
        waiting.clear()
        connection.onClosed((error) => {
          current = undefined
          trouble = ofConnection(error).reason
          resume(Effect.void)
        })
      })

    const once = Effect.scoped(
      Effect.flatMap(establish, (connection) =>
        Effect.zipRight(
          Effect.zipRight(Deferred.succeed(first, undefined), Effect.logDebug("Connected to RabbitMQ")),
          settled(connection)
        ))
    )

    const failed = (error: BrokerError) =>
      Effect.suspend(() => {
        trouble = error.message
        const again = `${error.message}. It is tried again.`
        if (error.reason === "Unavailable") {
          return Effect.zipRight(Effect.logWarning(again), Deferred.succeed(first, undefined))
        }
        // without a login, or with a topology that conflicts, there is no beginning
        return Effect.flatMap(Deferred.fail(first, error), (isFirst) => isFirst ? Effect.void : Effect.logError(again))
      })

    yield* Effect.tapError(once, failed).pipe(
      Effect.retry(options.recovery),
      Effect.catchAll(() => Effect.void),
      Effect.zipRight(
        Effect.suspend(() => Effect.logWarning(`The connection to RabbitMQ was lost: ${trouble}. It is made again.`))
      ),
      // a server that takes connections only to close them is not to be asked without a pause
      Effect.zipRight(Effect.sleep("100 millis")),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Deferred.await(first)
    return {
      current: () => current,
      trouble: () => trouble,
      connected: Effect.async<Connection>((resume) => {
        if (current !== undefined) return resume(Effect.succeed(current))
        const wake = (connection: Connection) => resume(Effect.succeed(connection))
        waiting.add(wake)
        return Effect.sync(() => waiting.delete(wake))
      })
    }
  })

/** What was judged, as an error of the port. */
export const brokerError = ({ isConfiguration, reason }: Judged): BrokerError =>
  new BrokerError({ reason: isConfiguration ? "Configuration" : "Unavailable", message: reason })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** One that was reached and says what waiting does not mend is enough: the others will say the same when they can be. */
const together = (errors: ReadonlyArray<BrokerError>): BrokerError =>
  new BrokerError({
    reason: errors.some(({ reason }) => reason === "Configuration") ? "Configuration" : "Unavailable",
    message: errors.map(({ message }) => message).join(". ")
  })

/** Goes with the scope, also if this is interrupted: connecting may take long, and cannot be stopped. */
const connect = (client: Client): Effect.Effect<Connection, BrokerError, Scope.Scope> =>
  Effect.suspend(() => {
    let made: Connection | undefined
    let isWanted = true
    const leave = Effect.suspend(() => {
      isWanted = false
      return made === undefined ? Effect.void : closeGently(made)
    })
    return Effect.zipRight(
      Effect.addFinalizer(() => leave),
      Effect.async<Connection, BrokerError>((resume) => {
        client.connect().then(
          (connection) => {
            if (!isWanted) return Effect.runFork(closeGently(connection))
            made = connection
            resume(Effect.succeed(connection))
          },
          (error: unknown) => resume(Effect.fail(brokerError(ofConnection(error, client.address))))
        )
      })
    )
  })

/** In agreement with the server if it answers soon. One that is closed already has nothing to answer. */
const closeGently = (connection: Connection): Effect.Effect<void> =>
  Effect.tryPromise(() => connection.close()).pipe(
    Effect.timeoutTo({
      duration: "2 seconds",
      onTimeout: () => connection.cut("the server did not answer the goodbye"),
      onSuccess: () => {}
    }),
    Effect.ignore
  )
