/**
 * The port behind the outbox: where committed messages wait for the relay.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
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
 * - `Deferred`: it was rejected and is tried again after `delay`, by the storage's clock; later entries of its topic and
 *   key wait behind it.
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
 * A dead letter.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter extends Entry {
  readonly reason: string
  readonly policy: "halt" | "skip"
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
 * @since 0.1.0
 * @category tags
 */
export class OutboxStorage extends Context.Tag("@effect-cqrs/core/OutboxStorage")<OutboxStorage, {
  /** How many buckets there are: `bucketOf` of the stored rows. Fixed when the storage is created. */
  readonly buckets: number

  /** Signalled after each commit in this process that stored messages, and whenever the storage learns of others. */
  readonly arrivals: Wake

  /**
   * Stores messages, in order. Called by the transactor, inside the transaction, as its last statement. The key locks they
   * ask for are taken first, all in one order, so that two transactions never wait for each other.
   */
  readonly append: (messages: ReadonlyArray<Outgoing>) => Effect.Effect<void, StorageError>

  /**
   * The first entries, by sequence, of some buckets. What is pending is what is there: an entry that was committed late
   * is found however small its sequence. Left out are entries of the topics in `except`, entries that are deferred and
   * not yet due, and entries behind a deferred or halting one of their topic and key.
   *
   * Answers at most `limit` entries, and stops after the one that brings their payloads to `maxBytes`.
   */
  readonly read: (options: {
    readonly buckets: ReadonlyArray<number>
    readonly limit: number
    readonly maxBytes: number
    readonly except: ReadonlyArray<string>
  }) => Effect.Effect<ReadonlyArray<Entry>, StorageError>

  /**
   * Applies what a relay decided, all of it or nothing. Answers `false`, having changed nothing, if the token was
   * superseded: somebody else owns the buckets now.
   */
  readonly settle: (token: bigint, settlements: ReadonlyArray<Settlement>) => Effect.Effect<boolean, StorageError>

  readonly statistics: Effect.Effect<Statistics, StorageError>

  /** The first dead letters by sequence, of one topic if it is given. */
  readonly deadLetters: (options: {
    readonly topic?: string | undefined
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<DeadLetter>, StorageError>

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
export const bucketOf = (message: Pick<Message, "topic" | "key" | "id">, buckets: number): number => {
  const bytes = encoder.encode(message.key === undefined ? `\0${message.id}` : `${message.topic}\0${message.key}`)
  let hash = 0x811c9dc5
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  return (hash >>> 0) % buckets
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

const encoder = new TextEncoder()
