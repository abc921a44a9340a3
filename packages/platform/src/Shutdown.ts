/**
 * The end of an HTTP server, in an order in which no request that it has taken fails.
 *
 * @since 0.1.0
 */
import { Health } from "@effect-cqrs/core/Health"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * What is needed of a server: Node's `http.Server` has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Server {
  readonly listening: boolean
  /** Takes no new connections, and calls back when the last one has ended. */
  readonly close: (callback: (error?: Error) => void) => unknown
  readonly closeAllConnections?: (() => void) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly server: Server
  /** How long it goes on as before, not ready, until those who send requests have noticed. Default 5 seconds. */
  readonly delay?: Duration.DurationInput | undefined
  /** How long what was taken may take to end after that; then its connections are closed. Default 10 seconds. */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * When this layer's scope closes: `Health` is not ready from now on; after the `delay` the server takes no new
 * connections; and once all that it has taken is answered, or after the `grace`, the layers beneath are closed: handlers,
 * consumers, relay, database. So put it on top of them all, with `Layer.provide`.
 *
 * By itself the server of @effect/platform-node lets go of its handler before it stops listening: what comes in between,
 * or on a connection that is kept alive, is never answered.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never, never, Health> =>
  Layer.scopedDiscard(
    Effect.flatMap(Health, (health) =>
      Effect.addFinalizer(() =>
        health.drain.pipe(
          Effect.zipRight(Effect.logInfo("The server shuts down")),
          Effect.zipRight(Effect.sleep(options.delay ?? Duration.seconds(5))),
          Effect.zipRight(closed(options))
        )
      ))
  )

/**
 * Lets clients go: while the program shuts down each answer closes its connection. For `HttpApiBuilder.serve`,
 * `HttpServer.serve` and their like; without it a client that keeps its connection busy is served until the `grace` ends.
 *
 * @since 0.1.0
 * @category combinators
 */
export const middleware = <E, R>(app: HttpApp.Default<E, R>): HttpApp.Default<E, R | Health> =>
  Effect.flatMap(Health, ({ isDraining }) =>
    // what a middleware is given back has been sent already
    Effect.zipRight(
      HttpApp.appendPreResponseHandler((_, response) =>
        Effect.map(
          isDraining,
          (draining) => draining ? HttpServerResponse.setHeader(response, "connection", "close") : response
        )
      ),
      app
    ))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const closed = ({ grace, server }: Options): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (server.listening) server.close(() => resume(Effect.void))
    else resume(Effect.void)
  }).pipe(
    // a finalizer is uninterruptible: the wait has to give way to the timeout
    Effect.interruptible,
    Effect.timeoutTo({
      duration: grace ?? Duration.seconds(10),
      onTimeout: () => false,
      onSuccess: () => true
    }),
    Effect.flatMap((isClosed) =>
      isClosed ? Effect.void : Effect.zipRight(
        Effect.logWarning("Requests were not answered within the grace period: their connections are closed"),
        Effect.sync(() => server.closeAllConnections?.())
      )
    )
  )
