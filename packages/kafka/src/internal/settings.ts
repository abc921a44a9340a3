import type { KafkaConfig, SASLOptions } from "kafkajs"
import type { Address } from "./socket.ts"

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
