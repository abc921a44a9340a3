/** What a run is: where, for how long, and how patient everybody in it is. */
import { Schema } from "effect"

export const Database = Schema.Literal("mariadb", "postgres")
export type Database = typeof Database.Type

export const Broker = Schema.Literal("kafka", "rabbitmq")
export type Broker = typeof Broker.Type

/** In milliseconds, and short: what takes a lease in production is to happen all the time here. */
export const timing = {
  /** Of a relay. */
  lease: 3_000,
  /** Of a relay that is idle. */
  poll: 500,
  /** How long a broker may take to answer before the clients give its connection up. */
  answer: 2_000,
  /** How long a publish may take. */
  publish: 3_000,
  /** The longest wait of whoever tries again. */
  backoff: 1_000,
  /** How long a consumer may be silent before others get what it had. */
  session: 4_000,
  /** How long the event of an idle transaction is in the outbox before it is committed. */
  uncommitted: 5_000,
  /** From the death of a process to the start of the next one in its place. */
  restart: 300,
  /** What processes take beside all that, on a machine that has much else to do. */
  allowance: 2_000
}

/** How many processes of each kind there are. */
export const fleet = { writer: 2, relay: 3, consumer: 2 }

/** Of the outbox. */
export const buckets = 64

/** After how many deaths of its consumer, alone in flight, a message is a dead letter. */
export const deaths = 2

/** The largest message that the brokers take, in bytes. */
export const largest = 512 * 1024

/** Something that this machine lacks or an option that cannot be, in a sentence that says what to do. */
export class SettingError extends Schema.TaggedError<SettingError>()("SettingError", { message: Schema.String }) {}
