import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Options } from "../../Relay.ts"
import { outage } from "../scheduleDelay.ts"

/** The options of a relay with their defaults. */
export interface Settings {
  readonly lanes: number
  readonly batchSize: number
  readonly maxBatchBytes: number
  readonly pollMillis: number
  readonly graceMillis: number
  readonly backoff: Schedule.Schedule<unknown, unknown>
  readonly retention: Duration.Duration | undefined
  readonly maxDeaths: number
  readonly maxLoneFailures: number
  readonly rejection: (topic: string) => {
    readonly retry: Schedule.Schedule<unknown, unknown>
    readonly exhausted: "halt" | "skip"
  }
}

const counts = ["lanes", "batchSize", "maxBatchBytes", "maxDeaths", "maxLoneFailures"] as const

const durations = ["pollInterval", "grace", "retention"] as const

/** What is wrong with options, as a sentence. */
export const refusal = (options: Options): string | undefined => {
  for (const name of counts) {
    const value = options[name]
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      return `The relay's ${name} is ${value}: it must be a whole number above 0`
    }
  }
  for (const name of durations) {
    const value = options[name]
    if (value === undefined) continue
    const duration = Duration.decodeUnknown(value)
    if (Option.isNone(duration) || (name !== "grace" && Duration.toMillis(duration.value) <= 0)) {
      return `The relay's ${name} is ${String(value)}: it must be a duration above 0, such as "1 second"`
    }
  }
}

export const settingsOf = (options: Options): Settings => ({
  lanes: options.lanes ?? 4,
  batchSize: options.batchSize ?? 500,
  maxBatchBytes: options.maxBatchBytes ?? 4 * 1024 * 1024,
  pollMillis: Duration.toMillis(options.pollInterval ?? Duration.seconds(1)),
  graceMillis: Duration.toMillis(options.grace ?? Duration.seconds(10)),
  backoff: options.backoff ?? outage,
  retention: options.retention === undefined ? undefined : Duration.decode(options.retention),
  maxDeaths: options.maxDeaths ?? 5,
  maxLoneFailures: options.maxLoneFailures ?? 5,
  rejection: (topic) => ({
    retry: options.topics?.[topic]?.retry ?? options.retry ?? defaultRetry,
    exhausted: options.topics?.[topic]?.exhausted ?? options.exhausted ?? "halt"
  })
})

const defaultRetry = Schedule.intersect(Schedule.exponential("1 second"), Schedule.recurs(8))
