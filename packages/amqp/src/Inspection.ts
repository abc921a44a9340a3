/**
 * What RabbitMQ has of some exchanges, for those who look after it.
 *
 * @since 0.1.0
 */
import { BrokerError } from "@effect-cqrs/core/Broker"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as AmqpBroker from "./AmqpBroker.ts"
import * as Declare from "./internal/declare.ts"
import * as Link from "./internal/link.ts"
import { clientsOf, timesOf } from "./internal/settings.ts"

/**
 * An exchange as RabbitMQ has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExchangeState {
  readonly name: string
  /** Why it cannot be used: it does not exist, or this login may not see it. */
  readonly trouble: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Inspection {
  /** Why the server takes no messages for now, as when it is short of memory or disk. */
  readonly blocked: string | undefined
  /** In the order in which they were asked for. */
  readonly exchanges: ReadonlyArray<ExchangeState>
}

/**
 * Asks RabbitMQ for exchanges, and changes nothing. An exchange that is missing is no error here; a server that cannot be
 * reached or refuses the login is a `BrokerError`. Whether a queue is bound cannot be asked: that shows when something is
 * published.
 *
 * @example
 * ```ts
 * import { Inspection } from "@effect-cqrs/amqp"
 * import { Redacted } from "effect"
 *
 * export const exchanges = Inspection.inspect({ url: Redacted.make("amqp://guest:guest@localhost:5672") }, ["rooms"])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const inspect = (
  options: Pick<AmqpBroker.Options, "connectTimeout" | "connectionName" | "heartbeat" | "tls" | "url">,
  exchanges: ReadonlyArray<string>
): Effect.Effect<Inspection, BrokerError> =>
  Effect.scoped(Effect.gen(function*() {
    const times = yield* timesOf(options)
    const clients = yield* clientsOf(options, times)
    const link = yield* Link.make({ clients, recovery: Schedule.stop, setUp: () => Effect.void })
    const connection = link.current()
    if (connection === undefined) return yield* new BrokerError({ reason: "Unavailable", message: link.trouble() })
    const states = yield* Effect.forEach(exchanges, (name) =>
      Effect.scoped(
        Effect.flatMap(
          Declare.open(connection),
          (channel) => Declare.request(`The exchange ${name}`, () => channel.checkExchange(name))
        )
      ).pipe(
        Effect.match({
          onFailure: ({ message }): ExchangeState => ({ name, trouble: message }),
          onSuccess: (): ExchangeState => ({ name, trouble: undefined })
        })
      ))
    return { blocked: connection.blocked(), exchanges: states }
  }))

/**
 * As {@link inspect}, with the address of the program's configuration (`AmqpBroker.config`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const inspectConfig = (
  exchanges: ReadonlyArray<string>
): Effect.Effect<Inspection, BrokerError | ConfigError.ConfigError> =>
  Effect.flatMap(AmqpBroker.config, (options) => inspect(options, exchanges))
