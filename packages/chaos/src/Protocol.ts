/** What the harness and its processes say to each other. */
import { Schema } from "effect"
import { Broker, Database } from "./Setting.ts"

export const Role = Schema.Literal("writer", "relay", "consumer")
export type Role = typeof Role.Type

/** Where the database is, as one process or the harness sees it. */
export const DatabaseAt = Schema.Struct({ kind: Database, url: Schema.String })
export type DatabaseAt = typeof DatabaseAt.Type

/** Where the broker is. */
export const BrokerAt = Schema.Struct({ kind: Broker, host: Schema.String, port: Schema.Number })
export type BrokerAt = typeof BrokerAt.Type

/** What a process is started with. */
export const Assignment = Schema.parseJson(Schema.Struct({
  role: Role,
  /** Which one of its role, from 1. */
  slot: Schema.Number,
  /** For random numbers. */
  seed: Schema.Number,
  database: DatabaseAt,
  broker: BrokerAt
}))
export type Assignment = typeof Assignment.Type

/** The environment variable that holds it. */
export const variable = "EFFECT_CQRS_CHAOS_ASSIGNMENT"

/** The file descriptor on which a process says what it says: standard output is anybody's. */
export const channel = 3

/** What a process is told, a line each. */
export const Command = Schema.parseJson(Schema.Union(
  /** End with what is under way. */
  Schema.TaggedStruct("Stop", {}),
  /** Take all connections of your pool, and do nothing with them. */
  Schema.TaggedStruct("Exhaust", { millis: Schema.Number })
))
export type Command = typeof Command.Type

/** What a process says, a line each. */
export const Report = Schema.parseJson(Schema.Union(
  Schema.TaggedStruct("Ready", {}),
  /** A relay's buckets, whenever they change. */
  Schema.TaggedStruct("Holding", { buckets: Schema.Array(Schema.Number) }),
  /** What became of a writer's transactions so far; `unknown`: nobody told it. */
  Schema.TaggedStruct("Written", {
    committed: Schema.Number,
    abandoned: Schema.Number,
    repeated: Schema.Number,
    failed: Schema.Number,
    unknown: Schema.Number
  })
))
export type Report = typeof Report.Type
