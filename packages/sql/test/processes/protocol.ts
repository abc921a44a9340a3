import { Event } from "@effect-cqrs/core"
import { Schema } from "effect"

/** The event that writers announce and relays deliver. One that is deadly kills the process that publishes it. */
export class Changed extends Event.ecst<Changed>()("changed", {
  topic: "accounts",
  payload: { key: Schema.String, version: Schema.Number, isDeadly: Schema.Boolean },
  key: (event) => event.key
}) {}

/** The database that the processes have in common. */
export const Target = Schema.Struct({
  kind: Schema.Literal("mysql", "pg", "sqlite"),
  /** A URL, or the name of a file. */
  location: Schema.String,
  /** The file into which deliveries are written. */
  deliveries: Schema.String
})
export type Target = typeof Target.Type

/** Changes accounts and announces it, in one transaction after the other. */
export const Writer = Schema.TaggedStruct("Writer", {
  name: Schema.String,
  accounts: Schema.Array(Schema.String),
  /** Between two transactions. */
  pauseMillis: Schema.Number
})
export type Writer = typeof Writer.Type

/** Delivers to a broker that writes down what it takes before it says so. */
export const Relay = Schema.TaggedStruct("Relay", {
  name: Schema.String,
  leaseMillis: Schema.Number,
  pollMillis: Schema.Number,
  batchSize: Schema.Number,
  maxDeaths: Schema.optional(Schema.Number),
  /** Keeps what is delivered. */
  keeps: Schema.optionalWith(Schema.Boolean, { default: () => false })
})
export type Relay = typeof Relay.Type

export const Role = Schema.Union(Writer, Relay)
export type Role = typeof Role.Type

/** What a process is started with. */
export const Assignment = Schema.parseJson(Schema.Struct({ target: Target, role: Role }))

/** The environment variable that holds it: arguments are there for everybody to read. */
export const assignmentVariable = "PROCESSES_ASSIGNMENT"

/** What a process is told, a line each. */
export const Command = Schema.parseJson(Schema.Union(
  /** To a writer: begin. */
  Schema.TaggedStruct("Go", {}),
  /** To a writer: end with the transaction that is open. */
  Schema.TaggedStruct("Stop", {}),
  /**
   * To a relay: stop yourself, as SIGSTOP does, in the middle of the next publish. Once continued, answer it at once,
   * `late`: as rejected, having delivered it all the same; `false`: as delivered, without having delivered it.
   */
  Schema.TaggedStruct("Freeze", { answer: Schema.Literal("late", "false") }),
  /** To a relay: the broker is out, or back. */
  Schema.TaggedStruct("Close", {}),
  Schema.TaggedStruct("Open", {})
))
export type Command = typeof Command.Type

/** What a process says, a line each. */
export const Report = Schema.parseJson(Schema.Union(
  /** A writer waits for `Go`; a relay has begun. */
  Schema.TaggedStruct("Ready", {}),
  /** A relay's token and buckets, whenever they change. */
  Schema.TaggedStruct("Holding", { token: Schema.String, buckets: Schema.Array(Schema.Number) }),
  /** A relay is about to stop itself, with these in the middle of being published. */
  Schema.TaggedStruct("Freezing", { ids: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("Closed", {}),
  /** What a writer has done: transactions that were committed, rolled back on purpose, repeated after a conflict. */
  Schema.TaggedStruct("Done", {
    committed: Schema.Number,
    abandoned: Schema.Number,
    repeated: Schema.Number,
    failures: Schema.Array(Schema.String)
  })
))
export type Report = typeof Report.Type
