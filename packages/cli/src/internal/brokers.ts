/** The broker by its URL, with an adapter that is loaded when it is asked for. */
import type { Broker } from "@effect-cqrs/core/Broker"
import { type BrokerError } from "@effect-cqrs/core/Broker"
import type { ConfigError } from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { load } from "./driver.ts"
import { CliError } from "./exitCode.ts"

export interface Address {
  readonly kind: "kafka" | "amqp"
  /** Without user and password. */
  readonly shown: string
  /** What the URL says, as keys of the adapter's own configuration. */
  readonly settings: ReadonlyMap<string, string>
}

export const addressOf = (url: Redacted.Redacted): Either.Either<Address, CliError> => {
  const text = Redacted.value(url)
  const kafka = /^(kafkas?):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^@/?#]+)\/?(?:\?(.*))?$/i.exec(text)
  const login = Option.all([plain(kafka?.[2] ?? ""), plain(kafka?.[3] ?? "")])
  if (kafka !== null && Option.isSome(login)) {
    const [, protocol, user, , brokers, query] = kafka
    const settings = new Map([["CQRS_KAFKA_BROKERS", brokers!]])
    if (protocol!.toLowerCase() === "kafkas") settings.set("CQRS_KAFKA_TLS", "true")
    if (user !== undefined) {
      const mechanism = new URLSearchParams(query ?? "").get("mechanism") ?? "plain"
      settings.set("CQRS_KAFKA_SASL_MECHANISM", mechanism)
      settings.set("CQRS_KAFKA_USERNAME", login.value[0])
      settings.set("CQRS_KAFKA_PASSWORD", login.value[1])
    }
    return Either.right({ kind: "kafka", shown: `${protocol}://${brokers}`, settings })
  }
  if (/^amqps?:\/\//i.test(text)) {
    // a comma may be part of a password: only one before a URL divides
    const shown = text.split(/,\s*(?=amqps?:\/\/)/i)
      .map((one) => one.trim().replace(/^(amqps?:\/\/)(?:.*@)?/i, "$1")).join(",")
    return Either.right({ kind: "amqp", shown, settings: new Map([["CQRS_AMQP_URL", text]]) })
  }
  return Either.left(
    new CliError({
      ending: "Usage",
      message:
        "The URL of the broker is none: write it as kafka://host:9092,host:9092, kafkas://user:password@host:9093" +
        "?mechanism=scram-sha-512, or amqp://user:password@host:5672/vhost"
    })
  )
}

/** The address, or the sentence that there is none. */
export const required = (broker: Option.Option<Redacted.Redacted>): Effect.Effect<Address, CliError> =>
  Option.match(broker, {
    onNone: () =>
      Effect.fail(
        new CliError({ ending: "Usage", message: "Which broker? Say --broker URL, or set CQRS_BROKER_URL" })
      ),
    onSome: addressOf
  })

/** What the URL does not say is read from the environment, as the adapter reads it. */
export const layer = (address: Address): Layer.Layer<Broker, CliError | BrokerError | ConfigError> =>
  Layer.unwrapEffect(
    address.kind === "kafka"
      ? Effect.map(
        load("@effect-cqrs/kafka", () => import("@effect-cqrs/kafka/KafkaBroker")),
        ({ layerConfig }) => layerConfig({ clientId: "effect-cqrs-cli" })
      )
      : Effect.map(
        load("@effect-cqrs/amqp", () => import("@effect-cqrs/amqp/AmqpBroker")),
        ({ layerConfig }) => layerConfig({ connectionName: "effect-cqrs-cli" })
      )
  ).pipe(Layer.provide(configured(address)))

export const configured = ({ settings }: Address): Layer.Layer<never> =>
  Layer.unwrapEffect(Effect.configProviderWith((environment) =>
    Effect.succeed(Layer.setConfigProvider(
      ConfigProvider.orElse(ConfigProvider.fromMap(new Map(settings), { seqDelim: "," }), () => environment)
    ))
  ))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** A part of a URL as it was before it was written into one. */
const plain = (part: string): Option.Option<string> => Option.getRight(Either.try(() => decodeURIComponent(part)))
