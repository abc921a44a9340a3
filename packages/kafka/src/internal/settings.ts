import type { BrokerError } from "@effect-cqrs/core/Broker"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Runtime from "effect/Runtime"
import type { KafkaConfig, SASLOptions } from "kafkajs"
import type { Options } from "../KafkaBroker.ts"
import * as Logger from "./logger.ts"
import { saslOf } from "./sasl.ts"
import type { Address } from "./socket.ts"
import { configuration } from "./topology.ts"

/** What every client of one broker is made with. Durations are milliseconds. */
export interface Settings {
  readonly brokers: ReadonlyArray<string>
  readonly clientId: string
  readonly ssl: KafkaConfig["ssl"]
  readonly sasl: SASLOptions | undefined
  readonly redirect: (address: Address) => Address
  readonly connectionTimeout: number
  readonly requestTimeout: number
  readonly logging: Pick<KafkaConfig, "logCreator" | "logLevel">
}

/** Those of the options that say how to connect. */
export const settingsOf = (
  { brokers, clientId, redirect, sasl, tls }: Pick<Options, "brokers" | "clientId" | "redirect" | "sasl" | "tls">,
  { connectionTimeout, requestTimeout }: Pick<Settings, "connectionTimeout" | "requestTimeout">,
  runtime: Runtime.Runtime<never>
): Settings => ({
  brokers,
  clientId: clientId ?? "effect-cqrs",
  ssl: tls,
  sasl: sasl === undefined ? undefined : saslOf(sasl, runtime),
  redirect: redirect ?? ((address) => address),
  connectionTimeout,
  requestTimeout,
  logging: Logger.make(runtime)
})

/** kafkajs's own are others where NODE_ENV is `test`, so all of them are given. */
export const retry = { initialRetryTime: 100, maxRetryTime: 1000, factor: 0.2, multiplier: 2, retries: 5 }

export const kafkaConfig = (settings: Settings, socketFactory: KafkaConfig["socketFactory"]): KafkaConfig => ({
  brokers: [...settings.brokers],
  clientId: settings.clientId,
  ...(settings.ssl === undefined ? {} : { ssl: settings.ssl }),
  ...(settings.sasl === undefined ? {} : { sasl: settings.sasl }),
  connectionTimeout: settings.connectionTimeout,
  authenticationTimeout: settings.requestTimeout,
  requestTimeout: settings.requestTimeout,
  retry,
  ...settings.logging,
  ...(socketFactory === undefined ? {} : { socketFactory })
})

/** Kafka's protocol and timers count milliseconds in 32 bits. */
const longest = 2 ** 31 - 1

type Given = Duration.DurationInput | undefined

interface Timed {
  readonly connectionTimeout?: Given
  readonly requestTimeout?: Given
  readonly metadataMaxAge?: Given
  readonly producer?: { readonly deadline?: Given } | undefined
  readonly consumer?: {
    readonly sessionTimeout?: Given
    readonly rebalanceTimeout?: Given
    readonly heartbeatInterval?: Given
    readonly maxWait?: Given
    readonly commitInterval?: Given
    readonly drainTimeout?: Given
  } | undefined
}

/** The durations among the options, in milliseconds. */
export const timesOf = ({ connectionTimeout, consumer, metadataMaxAge, producer, requestTimeout }: Timed) =>
  Effect.gen(function*() {
    const times = yield* durations({
      connectionTimeout: [connectionTimeout, 3000],
      requestTimeout: [requestTimeout, 10_000],
      metadataMaxAge: [metadataMaxAge, 300_000],
      deadline: [producer?.deadline, 10_000],
      sessionTimeout: [consumer?.sessionTimeout, 30_000],
      rebalanceTimeout: [consumer?.rebalanceTimeout, 60_000],
      heartbeatInterval: [consumer?.heartbeatInterval, 1000],
      maxWait: [consumer?.maxWait, 250],
      commitInterval: [consumer?.commitInterval, 1000]
    })
    if (times.heartbeatInterval >= times.sessionTimeout) {
      return yield* configuration("The heartbeat interval must be shorter than the session timeout, as a third of it")
    }
    const { drainTimeout } = yield* durations({
      drainTimeout: [consumer?.drainTimeout, Math.floor(times.sessionTimeout / 3)]
    })
    return { ...times, drainTimeout }
  })

const durations = <K extends string>(
  options: Readonly<Record<K, readonly [given: Given, otherwise: number]>>
): Effect.Effect<Readonly<Record<K, number>>, BrokerError> =>
  Effect.map(
    Effect.forEach(
      Object.entries<readonly [Given, number]>(options),
      ([name, [given, otherwise]]) => {
        if (given === undefined) return Effect.succeed([name, otherwise] as const)
        const millis = Math.ceil(Option.match(Duration.decodeUnknown(given), {
          onNone: () => 0,
          onSome: Duration.toMillis
        }))
        return millis > 0 && millis <= longest
          ? Effect.succeed([name, millis] as const)
          : configuration(
            `The option ${name} of Kafka is ${
              String(given)
            }: it must be a duration of more than 0 and less than 24 days, as "5 seconds"`
          )
      }
    ),
    (entries) => Object.fromEntries(entries) as Record<K, number>
  )

/** Sees to it that an option is among those that are known, or not given. */
export const oneOf = (name: string, given: unknown, known: ReadonlyArray<string>): Effect.Effect<void, BrokerError> =>
  given === undefined || known.includes(given as string)
    ? Effect.void
    : configuration(`The option ${name} of Kafka is ${String(given)}: it must be one of ${known.join(", ")}`)

/** What is to be bytes, or messages. */
export const whole = (name: string, given: number | undefined, otherwise: number): Effect.Effect<number, BrokerError> =>
  given === undefined
    ? Effect.succeed(otherwise)
    : Number.isSafeInteger(given) && given > 0 && given <= longest
    ? Effect.succeed(given)
    : configuration(`The option ${name} of Kafka is ${String(given)}: it must be a whole number from 1 to ${longest}`)
