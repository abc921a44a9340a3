/**
 * From events to messages and back: codec, compression and limits.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Tracer from "effect/Tracer"
import * as Codec from "./Codec.ts"
import * as Compressor from "./Compressor.ts"
import type * as Event from "./Event.ts"
import { decodePayload, definitionOf, encodePayload } from "./internal/event.ts"
import type { Definition } from "./internal/event.ts"
import { currentOrigin, newId, nowOf } from "./internal/handling.ts"
import { requireWhole } from "./internal/options.ts"
import { isReady } from "./internal/ready.ts"
import { isTraced, messaging, spanned } from "./internal/tracing.ts"
import { whereIn } from "./internal/versions.ts"
import type { Message } from "./Message.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Which program this is, as a URI reference: the `source` of its messages. Default `/effect-cqrs`. */
  readonly source?: string | undefined
  /** How payloads are written. Default `Codec.json`. */
  readonly codec?: Codec.Codec | undefined
  /** Codecs for topics that differ from the rest. */
  readonly codecs?: Readonly<Record<string, Codec.Codec>> | undefined
  /** How payloads are compressed. Default `Compressor.identity`. */
  readonly compressor?: Compressor.Compressor | undefined
  /** Payloads of fewer bytes are not compressed. Default 1024. */
  readonly compressFrom?: number | undefined
  /** What can be read. Default `Compressor.defaults`, and what is written. */
  readonly compressors?: ReadonlyArray<Compressor.Compressor> | undefined
  /** The largest payload, in bytes as stored; larger ones are refused. Default 1 MiB. */
  readonly maxPayloadBytes?: number | undefined
  /** The largest payload after decompression, in bytes. Default 16 MiB. */
  readonly maxDecompressedBytes?: number | undefined
}

/**
 * - `Invalid`: the event does not fit its own schema, or its partition key cannot be computed.
 * - `TooLarge`: its payload is over the limit, as stored or, when it is read, after decompression.
 * - `Undecodable`: the message is not what its event's schema, its content type or its encoding says.
 * - `UnknownVersion`: its version is older than those that the event's upcasts read.
 * - `UnknownEncoding`, `UnknownContentType`: this program was not given the compressor or codec to read it with.
 *
 * @since 0.1.0
 * @category errors
 */
export class SerializationError
  extends Schema.TaggedError<SerializationError>("@effect-cqrs/core/SerializationError")("SerializationError", {
    reason: Schema.Literal(
      "Invalid",
      "TooLarge",
      "Undecodable",
      "UnknownVersion",
      "UnknownEncoding",
      "UnknownContentType"
    ),
    message: Schema.String
  })
{}

/**
 * The program's {@link Options}. JSON, uncompressed, unless a layer says otherwise.
 *
 * @since 0.1.0
 * @category tags
 */
export class Serialization extends Context.Reference<Serialization>()("@effect-cqrs/core/Serialization", {
  defaultValue: (): Options => ({})
}) {}

/**
 * Sets the program's {@link Options}. A limit that is not a whole number is a defect when the layer is built, with a
 * sentence.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> =>
  Layer.effect(
    Serialization,
    Effect.sync(() => {
      requireWhole("The maxPayloadBytes of Serialization.layer", options.maxPayloadBytes, 1)
      requireWhole("The maxDecompressedBytes of Serialization.layer", options.maxDecompressedBytes, 1)
      requireWhole("The compressFrom of Serialization.layer", options.compressFrom, 0)
      return options
    })
  )

/**
 * Makes the message of an event: checks it, encodes it, and stamps it with an id, the time, the correlation and
 * causation ids and the trace context of where this is called. Where a tracer listens this is a span `create {topic}`,
 * and the message has its context.
 *
 * @since 0.1.0
 * @category combinators
 */
export const encode = <Ev extends Event.Integration>(event: Ev): Effect.Effect<Message, SerializationError> =>
  Effect.withFiberRuntime((fiber) => {
    if (!isTraced(fiber)) return encodeOn(fiber, event)
    const { eventName, topic } = definitionOf(event)
    return spanned(
      Effect.withFiberRuntime((inside) =>
        Effect.map(encodeOn(inside, event), (message) => {
          if (inside.currentSpan?._tag === "Span") inside.currentSpan.attribute("messaging.message.id", message.id)
          return message
        })
      ),
      `create ${topic}`,
      { kind: "producer", attributes: { ...messaging("create", topic, undefined), "cqrs.name": eventName } }
    )
  })

/**
 * Reads the event of a message, of any version that the event reads (see `upcasts` of `Event.notification`). Whether the
 * class fits the message's name is the caller's business.
 *
 * @since 0.1.0
 * @category combinators
 */
export const decode = <Ev extends Event.Integration>(
  event: Event.ClassOf<Ev>,
  message: Message
): Effect.Effect<Ev, SerializationError> => Effect.withFiberRuntime((fiber) => decodeOn(fiber, event, message))

/**
 * {@link decode} on the fiber that runs it: an `Either` where nothing has to be waited for.
 *
 * @internal
 */
export const decodeOn = <Ev extends Event.Integration>(
  fiber: Fiber.RuntimeFiber<any, any>,
  event: Event.ClassOf<Ev>,
  message: Message
): Effect.Effect<Ev, SerializationError> => {
  const options = Context.get(fiber.currentContext as Context.Context<any>, Serialization)
  const compressor = compressorFor(options, message.contentEncoding)
  if (compressor === undefined) {
    return fail(
      "UnknownEncoding",
      `${message.name} is compressed as ${message.contentEncoding}: ` +
        "add that compressor to Serialization's compressors"
    )
  }
  const codec = codecFor(options, message)
  if (codec === undefined) {
    return fail("UnknownContentType", `${message.name} is ${message.contentType}: give Serialization a codec for it`)
  }
  const definition = event as unknown as Definition
  const limit = options.maxDecompressedBytes ?? defaultMaxDecompressedBytes
  const onFailure = (error: Compressor.CompressorError | Codec.CodecError) =>
    fail(error.reason === "TooLarge" ? "TooLarge" : "Undecodable", error.message)
  const onSuccess = (payload: unknown): Either.Either<Ev, SerializationError> => {
    const decoded = decodePayload(definition, message.version, payload)
    return decoded._tag === "Right"
      ? Either.right(new event(decoded.right, true))
      : fail(decoded.left.reason, decoded.left.message)
  }
  const began = Either.try(() =>
    compressor === Compressor.identity && message.payload.length <= limit
      ? codec.decode(message.payload, message)
      : Effect.flatMap(compressor.decompress(message.payload, limit), (bytes) => codec.decode(bytes, message))
  )
  // a codec of the user's may throw, and the text of what is thrown may carry what the payload carried
  const threw = () => fail("Undecodable", `The codec or the compressor threw as it read ${message.name}`)
  if (Either.isLeft(began)) return threw()
  const read = began.right
  if (!isReady(read)) return Effect.catchAllDefect(Effect.matchEffect(read, { onFailure, onSuccess }), threw)
  return Either.isRight(read) ? onSuccess(read.right) : onFailure(read.left)
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const defaultMaxPayloadBytes = 1024 * 1024
const defaultMaxDecompressedBytes = 16 * 1024 * 1024

const fail = (reason: SerializationError["reason"], message: string) =>
  Either.left(new SerializationError({ reason, message }))

const encodeOn = (
  fiber: Fiber.RuntimeFiber<any, any>,
  event: Event.Integration
): Effect.Effect<Message, SerializationError> => {
  const options = Context.get(fiber.currentContext as Context.Context<any>, Serialization)
  const definition = definitionOf(event)
  const name = definition.eventName
  const payload = encodePayload(event)
  if (payload._tag === "Left") {
    return fail("Invalid", `${name} does not fit its schema: ${whereIn(definition.payloadFields, payload.left)}`)
  }
  const origin = fiber.getFiberRef(currentOrigin)
  const id = newId(fiber)
  const base = {
    id,
    name,
    kind: definition.kind as "notification" | "ecst",
    version: definition.version,
    topic: definition.topic,
    source: options.source ?? "/effect-cqrs",
    time: nowOf(fiber),
    correlationId: origin?.correlationId(fiber) ?? id,
    causationId: origin?.causationId(fiber),
    traceparent: traceparent(fiber.currentSpan),
    sequence: undefined,
    headers: {}
  }
  const codec = options.codecs?.[definition.topic] ?? options.codec ?? Codec.json
  const compressor = options.compressor ?? Compressor.identity
  const limit = options.maxPayloadBytes ?? defaultMaxPayloadBytes
  return Effect.zip(partitionKey(definition, event), codec.encode(payload.right, base)).pipe(
    Effect.flatMap(([key, bytes]) => {
      const used = bytes.length < (options.compressFrom ?? 1024) ? Compressor.identity : compressor
      return Effect.map(used.compress(bytes), (compressed): Message => ({
        ...base,
        key,
        contentType: codec.contentType,
        contentEncoding: used.encoding,
        payload: compressed
      }))
    }),
    Effect.mapError((error) =>
      error instanceof SerializationError
        ? error
        : new SerializationError({ reason: "Invalid", message: `${name}: ${error.message}` })
    ),
    Effect.filterOrFail(
      (message) => message.payload.length <= limit,
      (message) =>
        new SerializationError({
          reason: "TooLarge",
          message: `${name} has a payload of ${message.payload.length} bytes, the limit is ${limit}: ` +
            "send a reference instead of the content, compress it, or raise Serialization's maxPayloadBytes"
        })
    )
  )
}

const compressorFor = (options: Options, encoding: string): Compressor.Compressor | undefined =>
  options.compressors === undefined && encoding === Compressor.identity.encoding ?
    Compressor.identity :
    (options.compressors ?? Compressor.defaults).find((one) => one.encoding === encoding) ??
      // small payloads are written as they are
      [options.compressor, Compressor.identity].find((one) => one?.encoding === encoding)

const codecFor = (options: Options, { contentType, topic }: Message): Codec.Codec | undefined => {
  const own = options.codecs?.[topic] ?? options.codec ?? Codec.json
  if (own.contentType === contentType) return own
  const type = mediaType(contentType)
  return [own, options.codec ?? Codec.json, ...Object.values(options.codecs ?? {}), Codec.json]
    .find((one) => mediaType(one.contentType) === type)
}

const mediaType = (contentType: string): string => contentType.split(";", 1)[0]!.trim().toLowerCase()

const partitionKey = (
  definition: Definition,
  event: object
): Effect.Effect<string | undefined, SerializationError> =>
  Effect.try({
    try: () => definition.partitionKey(event),
    catch: () => definition.eventName
  }).pipe(
    Effect.filterOrFail(
      (key) => key === undefined || typeof key === "string",
      () => definition.eventName
    ),
    Effect.mapError((name) =>
      new SerializationError({
        reason: "Invalid",
        message: `The partition key of ${name} could not be computed: its \`key\` must answer a string`
      })
    )
  )

const traceparent = (span: Tracer.AnySpan | undefined): string | undefined =>
  // a span of a tracer that is switched off has words for ids
  span === undefined || !/^[0-9a-f]{32}$/.test(span.traceId)
    ? undefined
    : `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
