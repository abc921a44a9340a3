/** A Kafka of the run's own: one node, started by the script that starts the servers of the tests. */
import { Consumer } from "@effect-cqrs/core"
import { Effect, Schedule, Schema, type Scope } from "effect"
import kafkajs, { type Admin, type IHeaders } from "kafkajs"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { Content, deadLetters, group, topics } from "../Domain.ts"
import { eventually } from "../Eventually.ts"
import { largest, SettingError } from "../Setting.ts"
import * as Local from "./Local.ts"
import type { BrokerServer, Found } from "./Server.ts"

const root = fileURLToPath(new URL("../../../..", import.meta.url))

/** The node's state is the script's, in a cache folder of its own; the jars are those of the project's, if they are there. */
const cache = Effect.tap(Local.folder("kafka"), (folder) =>
  Effect.sync(() => {
    const shared = path.resolve(root, process.env.EFFECT_CQRS_CACHE || ".cache", "kafka")
    for (const version of fs.existsSync(shared) ? fs.readdirSync(shared) : []) {
      const jars = path.join(shared, version, "jars")
      if (!fs.existsSync(jars)) continue
      fs.mkdirSync(path.join(folder, "kafka", version), { recursive: true })
      fs.symlinkSync(jars, path.join(folder, "kafka", version, "jars"))
    }
  }))

const properties = [
  // what the harness takes away stays away
  "auto.create.topics.enable=false",
  "group.min.session.timeout.ms=1000",
  // who may do what can be changed, and until then everybody may do everything
  "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "allow.everyone.if.no.acl.found=true"
]

const services = (
  where: { readonly folder: string; readonly port: number; readonly controller: number; readonly more: string },
  ...args: ReadonlyArray<string>
) =>
  Effect.async<void, SettingError>((resume) => {
    const child = execFile(
      process.execPath,
      [path.join(root, "scripts/services.mjs"), ...args],
      {
        env: {
          ...process.env,
          EFFECT_CQRS_KAFKA_BROKERS: "",
          EFFECT_CQRS_CACHE: where.folder,
          EFFECT_CQRS_KAFKA_PROPERTIES: where.more,
          EFFECT_CQRS_KAFKA_PORT: `${where.port}`,
          EFFECT_CQRS_KAFKA_CONTROLLER_PORT: `${where.controller}`
        },
        timeout: 180_000
      },
      (error, _stdout, stderr) =>
        resume(error === null ? Effect.void : new SettingError({ message: `Kafka: ${stderr.trim() || error.message}` }))
    )
    return Effect.sync(() => child.kill())
  })

const partitions: Readonly<Record<string, number>> = { [topics.main]: 4, [topics.side]: 2, [deadLetters]: 1 }

/** When the broker took it, and not when the relay sent it. */
const entries = [
  { name: "message.timestamp.type", value: "LogAppendTime" },
  { name: "max.message.bytes", value: String(largest) }
]

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

/** Nobody may write to the topic, and everything else goes on. */
const readOnly = (topic: string) =>
  [
    { operation: AclOperationTypes.ALL, permissionType: AclPermissionTypes.ALLOW },
    { operation: AclOperationTypes.WRITE, permissionType: AclPermissionTypes.DENY }
  ].map((one) => ({
    ...one,
    host: "*",
    principal: "User:*",
    resourceName: topic,
    resourceType: AclResourceTypes.TOPIC,
    resourcePatternType: ResourcePatternTypes.LITERAL
  }))

const patiently = Effect.retry(Schedule.intersect(Schedule.spaced("300 millis"), Schedule.recurs(100)))

const text = (headers: IHeaders | undefined, name: string): string => {
  const held = headers?.[name]
  return String(Array.isArray(held) ? held.at(-1) : held ?? "")
}

interface Written {
  readonly partition: number
  readonly offset: string
  readonly timestamp: string
  readonly headers: IHeaders | undefined
  readonly value: Buffer | null
}

export const kafka: Effect.Effect<BrokerServer, unknown, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* cache
  const port = yield* Local.freePort
  const controller = yield* Local.freePort
  const more = path.join(folder, "more.properties")
  fs.writeFileSync(more, properties.map((line) => `${line}\n`).join(""))
  const where = { folder, port, controller, more }
  const up = services(where, "up", "kafka", "--json")
  const down = services(where, "down", "kafka")
  /** Of the node, as the script remembers it. */
  const pid = (): number => JSON.parse(fs.readFileSync(path.join(folder, "services.json"), "utf8"))[0].pid
  const kill = () => process.kill(pid(), "SIGKILL")
  yield* Effect.acquireRelease(up, () => Effect.ignore(down))
  // if this process ends without closing its scopes, the node ends with it
  yield* Effect.acquireRelease(
    Effect.sync(() => process.once("exit", kill)),
    () => Effect.sync(() => process.off("exit", kill))
  )

  const client = new kafkajs.Kafka({
    clientId: "audit",
    brokers: [`${Local.host}:${port}`],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 8, initialRetryTime: 100, maxRetryTime: 1_000 }
  })
  const withAdmin = <A>(use: (admin: Admin) => Promise<A>) =>
    Effect.acquireUseRelease(
      Effect.tryPromise(async () => {
        const admin = client.admin()
        await admin.connect()
        return admin
      }),
      (admin) => Effect.tryPromise(() => use(admin)),
      (admin) => Effect.promise(() => admin.disconnect().catch(() => {}))
    )
  const create = (names: ReadonlyArray<string>) =>
    withAdmin((admin) =>
      admin.createTopics({
        waitForLeaders: true,
        topics: names.map((topic) => ({
          topic,
          numPartitions: partitions[topic]!,
          configEntries: entries
        }))
      })
    )
  const close = (topic: string) => withAdmin((admin) => admin.createAcls({ acl: readOnly(topic) }))
  const open = (topic: string) =>
    withAdmin((admin) =>
      admin.deleteAcls({
        filters: [{
          resourceName: topic,
          resourceType: AclResourceTypes.TOPIC,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          operation: AclOperationTypes.ANY,
          permissionType: AclPermissionTypes.ANY
        }]
      })
    )
  const offsets = (topic: string) => withAdmin((admin) => admin.fetchTopicOffsets(topic))

  let readers = 0
  /** All that a topic has now, by a group that nobody else is in. */
  const all = (topic: string): Effect.Effect<ReadonlyArray<Written>, unknown> =>
    Effect.gen(function*() {
      const ends = yield* offsets(topic)
      const missing = new Map(
        ends.filter(({ high, low }) => high !== low).map(({ high, partition }) => [partition, BigInt(high)])
      )
      const found: Array<Written> = []
      if (missing.size === 0) return found
      const consumer = yield* Effect.acquireRelease(
        Effect.sync(() => client.consumer({ groupId: `audit-${++readers}`, maxWaitTimeInMs: 100 })),
        (consumer) => Effect.promise(() => consumer.disconnect().catch(() => {}))
      )
      yield* Effect.async<void, unknown>((resume) => {
        const reading = async () => {
          await consumer.connect()
          await consumer.subscribe({ topics: [topic], fromBeginning: true })
          await consumer.run({
            autoCommit: false,
            eachBatch: async ({ batch, heartbeat }) => {
              for (const { headers, offset, timestamp, value } of batch.messages) {
                const end = missing.get(batch.partition)
                if (end === undefined || BigInt(offset) >= end) break
                found.push({ partition: batch.partition, offset, timestamp, headers, value })
                if (BigInt(offset) + 1n === end) missing.delete(batch.partition)
              }
              await heartbeat()
              if (missing.size === 0) resume(Effect.void)
            }
          })
        }
        reading().catch((error: unknown) => resume(Effect.fail(error)))
      }).pipe(Effect.timeout("2 minutes"))
      return found
    }).pipe(Effect.scoped)

  const makings: Record<string, number> = { [topics.main]: 1, [topics.side]: 1 }
  const earlier: Array<Found> = []
  const foundIn = (topic: string) =>
    Effect.map(all(topic), (records) =>
      records.map(({ headers, offset, partition, timestamp, value }): Found => ({
        lane: `${topic}/${makings[topic]}/${partition}`,
        place: Number(offset),
        id: text(headers, "ce_id"),
        ...Schema.decodeSync(Content)((value ?? "").toString()),
        at: Number(timestamp)
      })))

  let isRemoved = false
  const there = () => isRemoved ? [topics.main] : [topics.main, topics.side]
  const lagOf = (names: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const committed = yield* withAdmin((admin) => admin.fetchOffsets({ groupId: group, topics: [...names] }))
      const lags = yield* Effect.forEach(names, (topic) =>
        Effect.map(offsets(topic), (ends) =>
          ends.map(({ high, low, partition }) => {
            const own = committed.find((one) =>
              one.topic === topic
            )?.partitions.find((one) => one.partition === partition)
            return Number(high) - Math.max(Number(own?.offset ?? -1), Number(low))
          })))
      return lags.flat().reduce((sum, one) =>
        sum + one, 0)
    })

  yield* patiently(create([topics.main, topics.side, deadLetters]))

  let seen = 0
  return {
    name: "Kafka",
    port,
    restart: (how) =>
      Effect.gen(function*() {
        if (how === "killed") {
          kill()
          yield* eventually("Kafka has ended", Local.isFree(port), "20 seconds")
        } else yield* down
        yield* up
      }),
    taken: Effect.map(Effect.forEach(there(), offsets), (topics) => {
      const now = topics.flat().reduce((sum, { high }) => sum + Number(high), earlier.length)
      return seen = Math.max(seen, now)
    }).pipe(Effect.timeout("3 seconds"), Effect.orElseSucceed(() => seen)),
    read: Effect.map(
      Effect.forEach(there(), foundIn),
      (now) => [...earlier, ...now.flat()]
    ),
    deadLetters: Effect.map(all(deadLetters), (records) =>
      records.map(({ headers }) => ({
        id: text(headers, "ce_id"),
        reason: text(headers, Consumer.deadLetterHeaders.reason)
      }))),
    lag: Effect.suspend(() => lagOf(there())),
    remove: Effect.gen(function*() {
      // first it takes nothing more, and what it has is read: what Kafka deletes is gone
      yield* patiently(close(topics.side))
      yield* Effect.sleep("1 second")
      yield* eventually(
        "the consumers have all of the side topic",
        Effect.map(lagOf([topics.side]), (lag) => lag === 0),
        "60 seconds"
      )
      const found = yield* foundIn(topics.side)
      yield* withAdmin((admin) => admin.deleteTopics({ topics: [topics.side] }))
      isRemoved = true
      makings[topics.side]!++
      for (const one of found) earlier.push(one)
    }).pipe(Effect.tapErrorCause(() => Effect.ignore(patiently(open(topics.side))))),
    restore: Effect.suspend(() =>
      isRemoved
        ? Effect.zipRight(
          patiently(create([topics.side])),
          Effect.zipRight(
            patiently(open(topics.side)),
            Effect.sync(() => {
              isRemoved = false
            })
          )
        )
        : Effect.void
    )
  }
})
