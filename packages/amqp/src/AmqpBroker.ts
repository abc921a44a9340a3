/**
 * RabbitMQ as the broker, over amqplib.
 *
 * @since 0.1.0
 */
import { Broker, BrokerError } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Wire from "@effect-cqrs/core/Wire"
import type { SocketOptions } from "amqplib"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as Client from "./internal/client.ts"
import * as Consumer from "./internal/consumer.ts"
import * as Declare from "./internal/declare.ts"
import { isBlocked, unreachable } from "./internal/destination.ts"
import * as Link from "./internal/link.ts"
import { prefixes } from "./internal/packet.ts"
import * as Publisher from "./internal/publisher.ts"
import { deliveryOf } from "./internal/received.ts"
import { clientsOf, duration, given, positive, timesOf, validated } from "./internal/settings.ts"
import { sift } from "./internal/sift.ts"
import type * as Topology from "./Topology.ts"

/**
 * Where a message goes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  readonly exchange: string
  readonly routingKey: string
}

/**
 * `strict`: of each topic and key one message at a time is unconfirmed, and all keys are under way together. `pipelined`:
 * all are. When RabbitMQ refuses one of them then (a full queue), later ones of its key have overtaken it; they are answered
 * as `Retriable`, and come again behind it, so that the last of a key stays the last.
 *
 * @since 0.1.0
 * @category models
 */
export type PublishOrder = "strict" | "pipelined"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * `amqp://user:password@host:5672/vhost`, or `amqps:` for TLS. Several are tried in turn, as the nodes of a cluster, until
   * one answers.
   */
  readonly url: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
  /** Declared whenever a connection is made. Default: nothing but what is derived when consumers join. */
  readonly topology?: Topology.Topology | undefined
  /**
   * `false`: the topology is managed elsewhere, and it is only looked whether it is there. Default `true`: also the queues
   * and bindings of consumers are declared when they join, with the exchanges of their topics; and of the topics that
   * they publish to, with a queue of the topic's name if the topology binds none, so that dead letters are kept.
   */
  readonly declare?: boolean | undefined
  /**
   * Of queues for which the topology does not say. Default `quorum`: they survive the loss of a node and count redeliveries.
   * Classic ones are faster on a single node, and unavailable while it is down.
   */
  readonly queueType?: Topology.QueueType | undefined
  /** For all topics, or by topic. Default `strict`. */
  readonly order?: PublishOrder | ((topic: string) => PublishOrder) | undefined
  /**
   * Where messages go that shall go elsewhere than to the exchange of their topic under their name; `undefined` for those
   * that go there.
   */
  readonly route?: ((message: Message) => Route | undefined) | undefined
  /** How messages are written and read. */
  readonly wire?: Wire.Options | undefined
  /** Larger bodies are rejected without asking. Default: RabbitMQ decides (`max_message_size`). */
  readonly maxMessageBytes?: number | undefined
  /**
   * When nothing is confirmed for so long though something is due, the connection is presumed dead and made anew, and what
   * was under way is retriable. Default 10 seconds.
   */
  readonly deadline?: Duration.DurationInput | undefined
  /** How often each side shows that it is alive, in whole seconds; the server may ask for more often. Default 10 seconds. */
  readonly heartbeat?: Duration.DurationInput | undefined
  /** How long connecting may take. Default 10 seconds. */
  readonly connectTimeout?: Duration.DurationInput | undefined
  /**
   * When to try again to connect, and to set up a consumer; one that ends begins again. Default: from 100 milliseconds,
   * doubled each time up to 10 seconds, with jitter.
   */
  readonly recovery?: Schedule.Schedule<unknown> | undefined
  /** For `amqps:`: authority, certificate and key, as Node's `tls.connect` takes them. */
  readonly tls?:
    | Pick<SocketOptions, "ca" | "cert" | "key" | "passphrase" | "pfx" | "servername" | "rejectUnauthorized">
    | undefined
  /** What RabbitMQ lists the connections as. Default `effect-cqrs`. */
  readonly connectionName?: string | undefined
}

/**
 * Connects to RabbitMQ, with one connection for publishing and, with the first consumer, another for consuming: RabbitMQ
 * stops those that publish when it runs short of memory or disk.
 *
 * A login that is refused, a certificate that is not trusted, a virtual host that is not there and a topology that
 * conflicts are `Configuration`, here, and never tried again. A server that cannot be reached is not an error: there is a warning, it is tried again, `publish`
 * answers `Retriable` for the time being, and consumers wait.
 *
 * Publishing is confirmed by RabbitMQ, persistent and mandatory: a message for which no queue is bound is `Retriable` for
 * its destination, as is one to an exchange that does not exist, or that this user may not write to. Each exchange has a
 * channel of its own, so that what the server closes for one leaves the others alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Context.Tag.Service<Broker>, BrokerError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    yield* validated(options)
    const times = yield* timesOf(options)
    const { deadline } = times
    const recovery = options.recovery ?? defaultRecovery
    const topology = options.topology ?? {}
    const declaring: Declare.Declaring = {
      topology,
      declare: options.declare ?? true,
      queueType: options.queueType ?? "quorum"
    }
    const clients = yield* clientsOf(options, times)
    const setUp = (connection: Client.Connection) => Declare.topology(connection, declaring)

    let publisher: Publisher.Publisher | undefined
    const publishing = yield* Link.make({
      clients,
      recovery,
      setUp,
      onBlocked: (reason) => publisher?.fail(isBlocked(reason))
    })
    const order = options.order ?? "strict"
    const wire = Wire.make(prefixes, options.wire)
    const own = publisher = Publisher.make(publishing, {
      wire,
      topology,
      route: options.route,
      isPipelined: typeof order === "string" ? () => order === "pipelined" : (topic) => order(topic) === "pipelined",
      maxMessageBytes: options.maxMessageBytes ?? Number.POSITIVE_INFINITY
    })

    yield* Effect.sync(() => {
      if (own.watch() < looks) return
      publishing.current()?.cut(silent)
      own.fail(unreachable(`RabbitMQ cannot be reached: ${silent}`))
    }).pipe(Effect.delay(deadline / looks), Effect.forever, Effect.forkScoped)

    const mutex = yield* Effect.makeSemaphore(1)
    let consuming: Link.Link | undefined
    const consumingLink = Effect.suspend(() =>
      consuming !== undefined
        ? Effect.succeed(consuming)
        : Effect.tap(inScope(scope, Link.make({ clients, recovery, setUp })), (link) =>
          Effect.sync(() => {
            consuming = link
          }))
    ).pipe(mutex.withPermits(1))

    const consumer = {
      ...declaring,
      recovery,
      deadline,
      deliveryOf: (topic: string, received: Parameters<typeof deliveryOf>[3]) => deliveryOf(wire, own, topic, received)
    }
    return Broker.of({
      system: "rabbitmq",
      publish: own.publish,
      consume: (subscription) => Effect.flatMap(consumingLink, (link) => Consumer.join(link, subscription, consumer)),
      sift: (queue, decide) =>
        Effect.flatMap(consumingLink, (link) => {
          const connection = link.current()
          return connection === undefined
            ? Effect.fail(new BrokerError({ reason: "Unavailable", message: link.trouble() }))
            : sift(connection, queue, consumer, decide)
        }),
      check: Effect.suspend(() => {
        const broken = [publishing, consuming].find((link) => link !== undefined && link.current() === undefined)
        return broken === undefined
          ? Effect.void
          : Effect.fail(new BrokerError({ reason: "Unavailable", message: broken.trouble() }))
      })
    })
  })

/**
 * The broker of {@link make}.
 *
 * @example
 * ```ts
 * import { AmqpBroker } from "@effect-cqrs/amqp"
 * import { Redacted } from "effect"
 *
 * export const RabbitMq = AmqpBroker.layer({
 *   url: Redacted.make("amqp://guest:guest@localhost:5672"),
 *   topology: { exchanges: [{ name: "meeting_room_notifications" }] }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Broker, BrokerError> => Layer.scoped(Broker, make(options))

/**
 * What can be configured: `CQRS_AMQP_URL`, which must be there, one URL or several with commas between them; and, each
 * optional, `CQRS_AMQP_DECLARE` (`true` or `false`), `CQRS_AMQP_QUEUE_TYPE` (`quorum`, `classic`), `CQRS_AMQP_ORDER`
 * (`strict`, `pipelined`), `CQRS_AMQP_MAX_MESSAGE_BYTES`, `CQRS_AMQP_DEADLINE`, `CQRS_AMQP_HEARTBEAT`,
 * `CQRS_AMQP_CONNECT_TIMEOUT` (durations as `5 seconds`) and `CQRS_AMQP_CONNECTION_NAME`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const config: Config.Config<Pick<Options, "url"> & Partial<Options>> = Config.all({
  url: Config.map(
    Config.redacted(Config.nonEmptyString("CQRS_AMQP_URL")),
    (urls) => Redacted.value(urls).split(",").map((url) => Redacted.make(url.trim()))
  ),
  declare: Config.option(Config.boolean("CQRS_AMQP_DECLARE")),
  queueType: Config.option(Config.literal("quorum", "classic")("CQRS_AMQP_QUEUE_TYPE")),
  order: Config.option(Config.literal("strict", "pipelined")("CQRS_AMQP_ORDER")),
  maxMessageBytes: Config.option(positive("CQRS_AMQP_MAX_MESSAGE_BYTES")),
  deadline: Config.option(duration("CQRS_AMQP_DEADLINE")),
  heartbeat: Config.option(duration("CQRS_AMQP_HEARTBEAT")),
  connectTimeout: Config.option(duration("CQRS_AMQP_CONNECT_TIMEOUT")),
  connectionName: Config.option(Config.nonEmptyString("CQRS_AMQP_CONNECTION_NAME"))
}).pipe(Config.map(({ url, ...rest }) => ({ url, ...given(rest) })))

/**
 * As {@link layer}, with options that the program's configuration ({@link config}) overrides.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Omit<Options, "url"> = {}
): Layer.Layer<Broker, BrokerError | ConfigError.ConfigError> =>
  Layer.unwrapEffect(Effect.map(config, (configured) => layer({ ...options, ...configured })))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** How often in a deadline it is looked for an answer. */
const looks = 4

const silent = "it has not answered within the deadline"

/** Closed with the scope, and at once if it does not come about. */
const inScope = <A, E>(scope: Scope.Scope, effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (own) =>
      Effect.onExit(
        restore(Scope.extend(effect, own)),
        (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)
      ))
  )

const defaultRecovery = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced("10 seconds")),
  Schedule.jittered
)
