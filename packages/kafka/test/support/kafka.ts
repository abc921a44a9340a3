import type { KafkaBroker } from "@effect-cqrs/kafka"
import { Effect } from "effect"
import type { Admin } from "kafkajs"
import { Kafka, logLevel } from "kafkajs"

export const endpoint = {
  variable: "EFFECT_CQRS_KAFKA_BROKERS",
  hint: "`npm run services -- up kafka` starts one."
}

/** Short waits: members come and go all the time in tests. */
export const hasty: KafkaBroker.ConsumerOptions = {
  heartbeatInterval: "100 millis",
  maxWait: "50 millis",
  commitInterval: "100 millis",
  drainTimeout: "2 seconds"
}

const run = Date.now().toString(36)
let count = 0

/** A name that no other run of the tests has used. */
export const unique = (name: string): string =>
  `kafka_${name.replace(/[^a-zA-Z0-9_.-]+/g, "_").slice(0, 100)}_${run}_${++count}`

export const withAdmin = <A>(brokers: string, use: (admin: Admin) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.acquireUseRelease(
    Effect.tryPromise(async () => {
      const admin = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING }).admin()
      await admin.connect()
      return admin
    }),
    (admin) => Effect.tryPromise({ try: () => use(admin), catch: (error) => error }),
    (admin) => Effect.promise(() => admin.disconnect())
  )

/** Makes an empty topic, and answers with its name. */
export const topic = (
  brokers: string,
  name: string,
  options: { readonly partitions?: number; readonly config?: Record<string, string> } = {}
): Effect.Effect<string, unknown> => {
  const called = unique(name)
  return Effect.as(
    withAdmin(brokers, (admin) =>
      admin.createTopics({
        waitForLeaders: true,
        topics: [{
          topic: called,
          numPartitions: options.partitions ?? 3,
          configEntries: Object.entries({ "max.message.bytes": "4194304", ...options.config }).map(([name, value]) => ({
            name,
            value
          }))
        }]
      })),
    called
  )
}
