/**
 * The port behind the outbox: where committed messages wait for the relay.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { hashOf } from "./internal/hash.ts"
import { makeMemoryStorage } from "./internal/memoryStorage.ts"
import type { Message } from "./Message.ts"
import type { Wake } from "./Wake.ts"

/**
 * A stored message.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  /** Its place: of two messages of one key, the one with the smaller sequence was committed first. */
  readonly sequence: bigint
  /** The bucket it belongs to, whether it is there or waits beside it. */
  readonly bucket: number
  /** How often it was rejected so far. */
  readonly attempts: number
  readonly message: Message
  /**
   * Why what is stored is not a message, as when somebody has changed the row. Such an entry is not published but becomes
   * a dead letter; `message` then holds what could be read.
   */
  readonly malformed?: string | undefined
}

/**
 * Topic and key: what is kept in order. Messages without a key have none.
 *
 * @since 0.1.0
 * @category models
 */
export interface TopicKey {
  readonly topic: string
  readonly key: string
}

/**
 * Where to read: the entries that are in a bucket, not those that wait beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Range {
  readonly bucket: number
  /** Only sequences above this one: a hint that there is nothing to be had below. */
  readonly after?: bigint | undefined
  /** At most so many of this bucket. */
  readonly limit?: number | undefined
  /** Topics and keys of this bucket whose entries are left out. */
  readonly except?: ReadonlyArray<TopicKey> | undefined
}

/**
 * An entry beside its bucket: one that was rejected and is to be tried again, or a dead letter that halts its key. Later
 * entries of its topic and key stay in the bucket and are not to be published before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Waiting {
  readonly sequence: bigint
  readonly bucket: number
  readonly topic: string
  readonly key: string | undefined
  /** How long until it is to be tried again, by the storage's clock; `undefined` for a dead letter. */
  readonly due: Duration.Duration | undefined
}

/**
 * A message as a transaction hands it over.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outgoing extends Message {
  /**
   * Whether it asks for the lock of its topic and key, held until the transaction ends: of two transactions that ask for
   * the same one, the sequences are in the order of their commits. No part of what is stored.
   */
  readonly keyLock?: boolean | undefined
}

/**
 * What a relay decided about an entry.
 *
 * - `Delivered`: it leaves the pending set.
 * - `Deferred`: it was rejected and is tried again after `delay`, by the storage's clock; it waits beside its bucket, and
 *   later entries of its topic and key wait behind it.
 * - `Dead`: it becomes a dead letter. With `halt` later entries of its topic and key stay behind it until it is redriven
 *   or discarded; with `skip` they go on.
 *
 * @since 0.1.0
 * @category models
 */
export type Settlement = Data.TaggedEnum<{
  Delivered: { readonly sequence: bigint }
  Deferred: {
    readonly sequence: bigint
    readonly attempts: number
    readonly delay: Duration.Duration
    readonly reason: string
  }
  Dead: {
    readonly sequence: bigint
    readonly attempts: number
    readonly policy: "halt" | "skip"
    readonly reason: string
  }
}>

/**
 * @since 0.1.0
 * @category constructors
 */
export const Settlement = Data.taggedEnum<Settlement>()

/**
 * @since 0.1.0
 * @category models
 */
export interface Statistics {
  /** Entries that are not yet delivered, dead letters not among them. */
  readonly pending: number
  readonly dead: number
  /** How long the oldest pending entry has been waiting. */
  readonly oldestAge: Duration.Duration
}

/**
 * A pending entry, for somebody to look at.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pending extends Entry {
  /** By the storage's clock. */
  readonly createdAt: DateTime.Utc
  /** Of one that was rejected and is to be tried again: how long until then, and what was said of it. */
  readonly deferred: { readonly due: Duration.Duration; readonly reason: string } | undefined
}

/**
 * Which pending entries are meant: those for which all that is given holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface PendingFilter {
  readonly topic?: string | undefined
  readonly key?: string | undefined
  /** Only sequences above this one: the next page. */
  readonly after?: bigint | undefined
}

/**
 * What is pending of a topic.
 *
 * @since 0.1.0
 * @category models
 */
export interface PendingCount {
  readonly topic: string
  readonly count: number
  /** How long its oldest entry has been waiting. */
  readonly oldestAge: Duration.Duration
}

/**
 * A dead letter.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter extends Entry {
  readonly reason: string
  readonly policy: "halt" | "skip"
  /** When it became one, by the storage's clock. */
  readonly diedAt: DateTime.Utc
}

/**
 * Which dead letters are meant: those for which all that is given holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetterFilter {
  readonly topic?: string | undefined
  readonly key?: string | undefined
  /** Became a dead letter at this time or later, by the storage's clock. */
  readonly since?: DateTime.Utc | undefined
  /** Became a dead letter before this time. */
  readonly until?: DateTime.Utc | undefined
  /** Only sequences above this one: the next page. */
  readonly after?: bigint | undefined
}

/**
 * How many dead letters of a topic there are for one reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetterCount {
  readonly topic: string
  readonly reason: string
  readonly count: number
}

/**
 * - `Unavailable`: the storage cannot be reached. Nothing is lost; it is tried again.
 * - `Schema`: its tables are missing, older, or not this library's.
 * - `Configuration`: an option cannot be, or does not fit what is stored.
 * - `Corrupt`: a row is not what this library writes.
 *
 * @since 0.1.0
 * @category errors
 */
export class StorageError extends Schema.TaggedError<StorageError>("@effect-cqrs/core/StorageError")("StorageError", {
  reason: Schema.Literal("Unavailable", "Schema", "Configuration", "Corrupt"),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * Stores messages and hands them to the relay that owns their buckets.
 *
 * What is pending is what is there: nothing remembers a place up to which all is done, so that an entry that was committed
 * late is found however small its sequence. An entry is in its bucket until it is delivered, or it waits beside it
 * ({@link Waiting}); of each topic and key at most one pending entry waits, with the later ones in the bucket.
 *
 * Every write of a relay carries its token and changes nothing once that was superseded.
 *
 * @since 0.1.0
 * @category tags
 */
export class OutboxStorage extends Context.Tag("@effect-cqrs/core/OutboxStorage")<OutboxStorage, {
  /** How many buckets there are: `bucketOf` of the stored rows. Fixed when the storage is created. */
  readonly buckets: number

  /**
   * Signalled after each commit in this process that stored messages, for their buckets, and whenever the storage learns
   * of other work.
   */
  readonly arrivals: Wake

  /**
   * Stores messages, in order. Called by the transactor, inside the transaction, as its last statement. The key locks they
   * ask for are taken first, all in one order, so that two transactions never wait for each other.
   */
  readonly append: (messages: ReadonlyArray<Outgoing>) => Effect.Effect<void, StorageError>

  /**
   * The first entries that are in some buckets, in the order of their sequences, without those that wait beside them:
   * at most `limit`, and no more after the one that brings their payloads to `maxBytes`. Left out are entries of the topics
   * in `exceptTopics` and those that a range excepts.
   *
   * Costs the same whatever is delivered, dead or waiting; what a range or `exceptTopics` leaves out is scanned, from
   * `after` on.
   *
   * Rows of buckets that there are not, as when somebody has changed them by hand, come with the bucket 0, as `malformed`.
   */
  readonly read: (options: {
    readonly from: ReadonlyArray<Range>
    readonly exceptTopics: ReadonlyArray<string>
    readonly limit: number
    readonly maxBytes: number
  }) => Effect.Effect<ReadonlyArray<Entry>, StorageError>

  /** Entries that are pending, in their bucket or beside it, by their sequences; what is gone or dead is left out. */
  readonly pending: (sequences: ReadonlyArray<bigint>) => Effect.Effect<ReadonlyArray<Entry>, StorageError>

  /** What waits beside some buckets and holds back others, or is to be tried again, by sequence. */
  readonly waiting: (buckets: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<Waiting>, StorageError>

  /**
   * Changes whenever dead letters are redriven or discarded, by whomever: what is known of `waiting` is then out of date.
   * Read before `waiting`, it misses nothing.
   */
  readonly revision: Effect.Effect<number, StorageError>

  /** The largest sequence that is stored and committed, or 0. */
  readonly tail: Effect.Effect<bigint, StorageError>

  /**
   * Applies what a relay decided, all of it or nothing. Answers `false`, having changed nothing, if the token was
   * superseded: somebody else owns the buckets now. Applied twice, it changes nothing the second time. What is delivered
   * is deleted, or kept for `purge` if `keep` says so.
   */
  readonly settle: (
    token: bigint,
    settlements: ReadonlyArray<Settlement>,
    options?: { readonly keep?: boolean | undefined } | undefined
  ) => Effect.Effect<boolean, StorageError>

  /**
   * Deletes what was delivered longer ago than `olderThan` and kept, at most `limit` entries; answers how many. A
   * storage may round the age up, to a minute at the most.
   */
  readonly purge: (options: {
    readonly olderThan: Duration.Duration
    readonly limit: number
  }) => Effect.Effect<number, StorageError>

  /** How many entries `purge` would delete, without a limit. Looks at all of them. */
  readonly purgeable: (olderThan: Duration.Duration) => Effect.Effect<number, StorageError>

  readonly statistics: Effect.Effect<Statistics, StorageError>

  /** The first pending entries by sequence, in their buckets or beside them. For people, not for relays: it scans. */
  readonly backlog: (
    filter: PendingFilter & { readonly limit: number }
  ) => Effect.Effect<ReadonlyArray<Pending>, StorageError>

  /** Pending entries, counted by topic, most first. Looks at all of them. */
  readonly backlogCounts: Effect.Effect<ReadonlyArray<PendingCount>, StorageError>

  /** The first dead letters by sequence. */
  readonly deadLetters: (
    filter: DeadLetterFilter & { readonly limit: number }
  ) => Effect.Effect<ReadonlyArray<DeadLetter>, StorageError>

  /** Dead letters, counted by topic and reason, most first. */
  readonly deadLetterCounts: (filter: DeadLetterFilter) => Effect.Effect<ReadonlyArray<DeadLetterCount>, StorageError>

  /**
   * Makes dead letters pending again, in their old places and with no attempts counted; answers how many there were.
   * Under `skip` later events of the key may have gone before them.
   */
  readonly redrive: (sequences: ReadonlyArray<bigint>) => Effect.Effect<number, StorageError>

  /** Deletes dead letters; answers how many there were. Keys that they halted go on. */
  readonly discard: (sequences: ReadonlyArray<bigint>) => Effect.Effect<number, StorageError>
}>() {}

/**
 * The bucket of a message: all messages of one topic and key are in one. FNV-1a (32 bits) over the UTF-8 bytes of topic,
 * NUL and key, with the finalizer of MurmurHash3; messages without a key are spread by their id. Part of the stored
 * format: it never changes.
 *
 * @since 0.1.0
 * @category combinators
 */
export const bucketOf = (message: Pick<Message, "topic" | "key" | "id">, buckets: number): number =>
  hashOf(identity(message)) % buckets

/**
 * By what an index may tell topics and keys apart: 32 bits for the topic, signed, and 53 bits for topic and key, the lower
 * 32 of them those of {@link bucketOf}, the upper ones from the same hash over the same bytes, starting from another basis.
 * Part of the stored format: it never changes.
 *
 * @since 0.1.0
 * @category combinators
 */
export const hashesOf = (
  message: Pick<Message, "topic" | "key" | "id">
): { readonly topic: number; readonly key: number } => {
  const name = identity(message)
  return {
    topic: hashOf(message.topic) | 0,
    key: (hashOf(name, 0x9747b28c) & 0x1fffff) * 0x1_0000_0000 + hashOf(name)
  }
}

/**
 * An outbox inside this process, which forgets everything with it. 64 buckets unless given; a number of them that is not
 * a whole one from 1 is a defect when the layer is built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (options?: { readonly buckets?: number | undefined }): Layer.Layer<OutboxStorage> =>
  Layer.effect(OutboxStorage, makeMemoryStorage(options?.buckets ?? 64, bucketOf))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const identity = ({ id, key, topic }: Pick<Message, "topic" | "key" | "id">): string =>
  key === undefined ? `\0${id}` : `${topic}\0${key}`
