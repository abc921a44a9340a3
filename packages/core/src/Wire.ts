/**
 * For adapters of brokers: messages as CloudEvents 1.0, so that any language reads and writes them with its own SDK.
 *
 * In binary mode, the default, attributes are headers and the body is the payload; in structured mode the body is a JSON
 * document with attributes and payload. What is received is read in either, whatever is written.
 *
 * Sources: CloudEvents 1.0.2 with its JSON format and its Kafka and AMQP protocol bindings; the extensions
 * `partitioning`, `sequence` and `distributed-tracing`; W3C Trace Context.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { attributes, fromAttributes, type Message, type MessageError } from "./Message.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Mode = "binary" | "structured"

/**
 * A message in terms of a protocol: what adapters write and read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Packet {
  /** The headers that are text; the application's own, and in binary mode the attributes. */
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string | undefined
  /** Of the payload, or `undefined` for none. */
  readonly contentEncoding: string | undefined
  readonly body: Uint8Array
}

/**
 * A packet that was received, with what the protocol says of it beside.
 *
 * @since 0.1.0
 * @category models
 */
export interface Incoming extends Packet {
  readonly topic: string
  readonly key: string | undefined
  /** What to call it if it has no id of its own: unique, and the same whenever it is received, as far as that can be. */
  readonly place: string
  readonly isTombstone: boolean
}

/**
 * As {@link Incoming}, with headers as the protocol has them: they are made text, and read, one by one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Received<A> extends Omit<Incoming, "headers" | "place"> {
  readonly headers: Readonly<Record<string, A>>
  /** `undefined`: it is no text, and is left out. */
  readonly textOf: (value: A, name: string) => string | undefined
  readonly place: () => string
}

/**
 * Reads what is no CloudEvent, as another program writes it to some topic; `undefined` if it is not of that form.
 *
 * @since 0.1.0
 * @category models
 */
export type Reader = (incoming: Incoming) => Either.Either<Message, MessageError> | undefined

/**
 * What the users of an adapter may choose.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How messages are written, for all topics or by topic. Default `binary`. */
  readonly mode?: Mode | ((topic: string) => Mode) | undefined
  /** Readers for topics to which others publish in their own form. */
  readonly readers?: Readonly<Record<string, Reader>> | undefined
}

/**
 * What was read, or could not be.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoded {
  readonly message: Message
  readonly unreadable: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Wire {
  /** Left: why this message can never be sent, as a sentence. */
  readonly encode: (message: Message) => Either.Either<Packet, string>
  readonly decode: (incoming: Incoming) => Decoded
  /** The same, without a copy of the headers. */
  readonly decodeReceived: <A>(received: Received<A>) => Decoded
}

/**
 * CloudEvents as a protocol binding has them: `prefixes` are what it puts before the names of attributes in headers, the
 * first of them is written.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (prefixes: readonly [string, ...ReadonlyArray<string>], options: Options = {}): Wire => {
  const [prefix] = prefixes
  const mode = options.mode ?? "binary"
  const readers = new Map(Object.entries(options.readers ?? {}))
  const modeOf = typeof mode === "string" ? () => mode : mode

  const lowerPrefixes = prefixes.map((one) => one.toLowerCase())
  /** The names of headers as they should be written. */
  const written = new Map(
    prefixes.flatMap((one) => attributeNames.map((attribute) => [one + attribute, attribute] as const))
  )

  const isReserved = (name: string): boolean => {
    const lower = name.toLowerCase()
    return transport.has(lower) || lowerPrefixes.some((one) => lower.startsWith(one))
  }

  /** What is in no CloudEvent's headers, or has a body that is one. */
  const readBody = (
    incoming: Incoming,
    { partitionkey }: Found,
    traceparent: string | undefined,
    headers: Readonly<Record<string, string>>
  ): Either.Either<Message, Unread> => {
    const { body, contentType, isTombstone, key, topic } = incoming
    if (contentType !== undefined && isCloudEvents(contentType)) {
      const mediaType = contentType.split(";", 1)[0]!.trim().toLowerCase()
      if (mediaType !== "application/cloudevents+json") {
        return Either.left({ message: `A CloudEvent in the format ${mediaType} is not known here: send JSON` })
      }
      return Either.flatMap(destructured(body), ({ attributes, payload }) =>
        fromAttributes({
          ...attributes,
          partitionkey: attributes.partitionkey ?? partitionkey ?? key,
          traceparent: attributes.traceparent ?? traceparent
        }, { topic, headers, payload }))
    }
    return readers.get(topic)?.(incoming) ?? Either.left({
      message: isTombstone ? "It has no body: a tombstone" : "Not a CloudEvent: it has none of its headers"
    })
  }

  const decode = <A>(received: Received<A>): Decoded => {
    const { contentType, textOf } = received
    const found: Found = { ...nothing }
    const headers: Record<string, string> = {}
    let isBinary = false
    let traceparent: string | undefined
    for (const name of Object.keys(received.headers)) {
      const value = textOf(received.headers[name]!, name)
      if (value === undefined) continue
      const attribute = written.get(name)
      if (attribute !== undefined) {
        found[attribute] = value
        isBinary = true
      } else if (name === "traceparent") traceparent = value
      else {
        const lower = name.toLowerCase()
        const used = lowerPrefixes.find((one) => lower.startsWith(one))
        if (used !== undefined) {
          const attribute = lower.slice(used.length)
          // what stands there in lower case, as it has to be, is not replaced; what is not known here is left out
          if (isAttribute(attribute)) found[attribute] ??= value
          isBinary = true
        } else if (!transport.has(lower)) put(headers, name, value)
        else if (lower === "traceparent") traceparent ??= value
      }
    }
    const { body, topic } = received
    let message: Either.Either<Message, Unread>
    if (!isBinary || (contentType !== undefined && isCloudEvents(contentType))) {
      // a reader may throw, and so does what nests too deeply
      message = Either.flatMap(
        Either.try({
          try: () => readBody(incomingOf(received), found, traceparent, headers),
          catch: () => ({ message: "It cannot be read" })
        }),
        (read) => read
      )
    } else if (found.specversion !== undefined && !found.specversion.startsWith("1.")) {
      message = Either.left({ message: "A CloudEvent of another version than 1.0" })
    } else {
      found.partitionkey ??= received.key
      found.traceparent ??= traceparent
      found.datacontenttype ??= contentType
      found.contentencoding ??= received.contentEncoding
      message = fromAttributes(found, { topic, headers, payload: body })
    }
    if (Either.isRight(message)) return { message: message.right, unreadable: undefined }
    const id = found.id ?? received.place()
    return {
      unreadable: message.left.message,
      message: {
        id,
        name: found.type ?? "",
        kind: "notification",
        version: 1,
        topic,
        key: found.partitionkey ?? received.key,
        source: found.source ?? "",
        time: 0,
        correlationId: found.correlationid ?? id,
        causationId: found.causationid,
        traceparent: found.traceparent ?? traceparent,
        sequence: undefined,
        contentType: contentType ?? "application/octet-stream",
        contentEncoding: received.contentEncoding ?? "identity",
        headers,
        payload: body
      }
    }
  }

  const names = new Map<string, string>()
  /** Made once for each attribute: a name that is put together anew is looked up among all that are in use. */
  const headerOf = (attribute: string): string => {
    const known = names.get(attribute)
    if (known !== undefined) return known
    const name = prefix + attribute
    names.set(attribute, name)
    return name
  }

  return {
    encode: (message) => {
      const headers: Record<string, string> = {}
      for (const name of Object.keys(message.headers)) {
        if (isReserved(name)) {
          return Either.left(`The header ${JSON.stringify(name)} is reserved for the protocol: name it otherwise`)
        }
        put(headers, name, message.headers[name]!)
      }
      if (Number.isNaN(new Date(message.time).getTime())) {
        return Either.left(`Its time, ${message.time}, is no number of milliseconds that a date can have`)
      }
      if (message.traceparent !== undefined) headers.traceparent = message.traceparent
      const known = attributes(message)
      if (modeOf(message.topic) === "structured") {
        return Either.right({
          headers,
          contentType: structuredType,
          contentEncoding: undefined,
          body: encoder.encode(structured(known, message))
        })
      }
      if (isCloudEvents(message.contentType)) {
        return Either.left(
          `Its content type, ${message.contentType}, is that of a CloudEvent, which a reader would take for the message: ` +
            "send it in structured mode"
        )
      }
      for (const name in known) if (name !== "datacontenttype") headers[headerOf(name)] = known[name]!
      return Either.right({
        headers,
        contentType: message.contentType,
        contentEncoding: message.contentEncoding === "identity" ? undefined : message.contentEncoding,
        body: message.payload
      })
    },
    decode: (incoming) => decode(receivedOf(incoming)),
    decodeReceived: decode
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Headers of the protocol's own, in which no attribute of the application's can be. */
const transport: ReadonlySet<string> = new Set(["content-type", "content-encoding", "traceparent"])

/** The attributes that were found in headers. */
type Found = { [_ in keyof typeof nothing]: string | undefined }

/** Those that are read. */
const nothing = {
  specversion: undefined,
  id: undefined,
  source: undefined,
  type: undefined,
  time: undefined,
  datacontenttype: undefined,
  contentencoding: undefined,
  eventkind: undefined,
  schemaversion: undefined,
  partitionkey: undefined,
  sequence: undefined,
  correlationid: undefined,
  causationid: undefined,
  traceparent: undefined
}

const isAttribute = (name: string): name is keyof Found => Object.hasOwn(nothing, name)

const attributeNames = Object.keys(nothing) as ReadonlyArray<keyof Found>

const structuredType = "application/cloudevents+json; charset=UTF-8"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const isCloudEvents = (contentType: string): boolean => /^\s*application\/cloudevents/i.test(contentType)

/** Why it cannot be read. */
type Unread = Pick<MessageError, "message">

const asItIs = (value: string): string => value

/** The place may be reckoned only when it is read. */
const receivedOf = (incoming: Incoming): Received<string> => ({
  topic: incoming.topic,
  key: incoming.key,
  headers: incoming.headers,
  textOf: asItIs,
  place: () => incoming.place,
  contentType: incoming.contentType,
  contentEncoding: incoming.contentEncoding,
  body: incoming.body,
  isTombstone: incoming.isTombstone
})

const incomingOf = <A>({ headers, place, textOf, ...rest }: Received<A>): Incoming => {
  const texts: Record<string, string> = {}
  for (const name of Object.keys(headers)) {
    const text = textOf(headers[name]!, name)
    if (text !== undefined) put(texts, name, text)
  }
  return { ...rest, headers: texts, place: place() }
}

/** A header may be called `__proto__`. */
const put = (record: Record<string, string>, name: string, value: string): void => {
  if (name === "__proto__") {
    Object.defineProperty(record, name, { value, enumerable: true, writable: true, configurable: true })
  } else record[name] = value
}

const isJson = (contentType: string): boolean => /^[^;]*[/+]json\s*(;|$)/i.test(contentType)

/** The payload as it stands if it is JSON that comes out of a parser as it went in, and else in base64. */
const structured = (known: Record<string, string>, message: Message): string => {
  const start = JSON.stringify(known).slice(0, -1)
  if (message.contentEncoding === "identity" && isJson(message.contentType)) {
    const json = parsed(message.payload)
    if (json !== undefined && isCanonical(json)) return `${start},"data":${json.text}}`
  }
  return `${start},"data_base64":"${Buffer.from(message.payload).toString("base64")}"}`
}

/** Undefined if it is no JSON in UTF-8. */
const parsed = (bytes: Uint8Array): { readonly text: string; readonly value: unknown } | undefined =>
  Either.getOrUndefined(Either.try(() => {
    const text = decoder.decode(bytes)
    return { text, value: JSON.parse(text) as unknown }
  }))

/** Long numbers, spaces and keys that are numbers would not come back as they are. */
const isCanonical = ({ text, value }: { readonly text: string; readonly value: unknown }): boolean =>
  Either.getOrElse(Either.try(() => JSON.stringify(value) === text), () => false)

const destructured = (
  body: Uint8Array
): Either.Either<{ attributes: Record<string, string>; payload: Uint8Array }, Pick<MessageError, "message">> => {
  const bad = (what: string) => Either.left({ message: `Not a CloudEvent in structured mode: ${what}` })
  const document = parsed(body)?.value
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    return bad("its body is no JSON object in UTF-8")
  }
  const { data, data_base64: base64, ...rest } = document as Record<string, unknown>
  const attributes: Record<string, string> = {}
  for (const [name, value] of Object.entries(rest)) {
    if (value === null) continue
    if (typeof value === "object") return bad(`the attribute ${JSON.stringify(name)} is neither text nor a number`)
    put(attributes, name, String(value))
  }
  if (!attributes.specversion?.startsWith("1.")) return bad("specversion is not 1.0")
  if (base64 !== undefined) {
    if (typeof base64 !== "string" || data !== undefined) return bad("data_base64 is no text, or beside data")
    return Either.right({ attributes, payload: new Uint8Array(Buffer.from(base64, "base64")) })
  }
  if (data === undefined) return Either.right({ attributes, payload: new Uint8Array(0) })
  const isText = typeof data === "string" && !isJson(attributes.datacontenttype ?? "application/json")
  return Either.right({ attributes, payload: encoder.encode(isText ? data : JSON.stringify(data)) })
}
