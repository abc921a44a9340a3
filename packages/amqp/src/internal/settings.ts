import type { BrokerError } from "@effect-cqrs/core/Broker"
import * as Tls from "@effect-cqrs/core/Tls"
import type { SocketOptions } from "amqplib"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { unsafeCoerce } from "effect/Function"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Options } from "../AmqpBroker.ts"
import * as Client from "./client.ts"
import { misconfigured } from "./declare.ts"

/** One for each URL. Nothing of a URL is in what is said of it. */
export const clientsOf = (
  options: Options,
  { connectTimeout, heartbeat }: Times
): Effect.Effect<ReadonlyArray<Client.Client>, BrokerError> => {
  const { url } = options
  const urls = Redacted.isRedacted(url) ? [url] : url
  if (urls.length === 0) return misconfigured("The option `url` is empty: give a URL of RabbitMQ")
  const mistake = options.tls === undefined ? undefined : Tls.mistake(options.tls)
  if (mistake !== undefined) return misconfigured(mistake)
  return Effect.forEach(urls, (one, n) => {
    const parsed = Either.getOrUndefined(Either.try(() => new URL(Redacted.value(one))))
    if (
      parsed === undefined || (parsed.protocol !== "amqp:" && parsed.protocol !== "amqps:") || parsed.hostname === ""
    ) {
      return misconfigured(
        `The URL ${n + 1} of RabbitMQ is none: it is written as amqp://user:password@host:5672/vhost, or with amqps:`
      )
    }
    if (!parsed.searchParams.has("heartbeat")) parsed.searchParams.set("heartbeat", String(Math.ceil(heartbeat / 1000)))
    const socket: SocketOptions & { readonly writableHighWaterMark: number } = {
      ...options.tls,
      noDelay: true,
      timeout: connectTimeout,
      // so much is written at once: Node's own 16 KiB are some 30 messages
      writableHighWaterMark: 256 * 1024,
      clientProperties: { connection_name: options.connectionName ?? "effect-cqrs" }
    }
    return Effect.succeed(Client.make(parsed.host, parsed.href, socket))
  })
}

interface Times {
  readonly connectTimeout: number
  readonly deadline: number
  readonly heartbeat: number
}

/** The durations among the options, in milliseconds. */
export const timesOf = ({ connectTimeout, deadline, heartbeat }: Options): Effect.Effect<Times, BrokerError> =>
  Effect.all({
    connectTimeout: time("connectTimeout", connectTimeout),
    deadline: time("deadline", deadline),
    heartbeat: time("heartbeat", heartbeat, longestHeartbeat)
  })

const tenSeconds = Duration.seconds(10)

/** Timers count milliseconds in 32 bits; the protocol counts a heartbeat's seconds in 16. */
const longest = 2 ** 31 - 1
const longestHeartbeat = 65_535_000

const time = (name: string, given: unknown, most = longest): Effect.Effect<number, BrokerError> => {
  const millis = Math.ceil(Option.match(Duration.decodeUnknown(given ?? tenSeconds), {
    onNone: () => 0,
    onSome: Duration.toMillis
  }))
  return millis > 0 && millis <= most
    ? Effect.succeed(millis)
    : misconfigured(
      `The option ${name} of RabbitMQ is ${String(given)}: it must be a duration of more than 0 and ` +
        `${most === longest ? "less than 24 days" : `at most ${most / 1000} seconds`}, as "5 seconds"`
    )
}

/** What the compiler cannot see, or did not. */
export const validated = (options: Options): Effect.Effect<void, BrokerError> => {
  const { maxMessageBytes, order, queueType, topology = {} } = options
  const choices: ReadonlyArray<readonly [name: string, given: unknown, known: ReadonlyArray<unknown>]> = [
    ["queueType", queueType, ["quorum", "classic"]],
    ["order", typeof order === "function" ? undefined : order, ["strict", "pipelined"]]
  ]
  for (const [name, given, known] of choices) {
    if (given === undefined || known.includes(given)) continue
    return misconfigured(`The option ${name} of RabbitMQ is ${String(given)}: it must be one of ${known.join(", ")}`)
  }
  if (maxMessageBytes !== undefined && !(Number.isSafeInteger(maxMessageBytes) && maxMessageBytes > 0)) {
    return misconfigured(
      `The option maxMessageBytes of RabbitMQ is ${String(maxMessageBytes)}: it must be a whole number from 1`
    )
  }
  for (const { name, partitions, type } of topology.exchanges ?? []) {
    if (partitions === undefined) continue
    if (!Number.isSafeInteger(partitions) || partitions < 1) {
      return misconfigured(`The exchange ${name} has ${partitions} partitions: it must be a whole number from 1`)
    }
    if (type !== undefined && type !== "topic") {
      return misconfigured(`The exchange ${name} has partitions and the type ${type}: it must be of the type topic`)
    }
  }
  return Effect.void
}

export const positive = (name: string): Config.Config<number> =>
  Config.validate(Config.integer(name), {
    message: "must be a whole number above 0",
    validation: (value: number) => value > 0
  })

export const duration = (name: string): Config.Config<Duration.Duration> =>
  Config.validate(Config.duration(name), {
    message: "must be a duration above 0, such as \"1 second\"",
    validation: (value: Duration.Duration) => Duration.toMillis(value) > 0
  })

/** The values that are there. */
export const given = <T extends Record<string, Option.Option<unknown>>>(
  values: T
): { [K in keyof T]?: Option.Option.Value<T[K]> } =>
  unsafeCoerce(Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => Option.isSome(value) ? [[key, value.value]] : [])
  ))
