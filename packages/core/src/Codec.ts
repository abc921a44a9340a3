/**
 * How the payload of an event becomes bytes, recorded per message as its content type.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Message } from "./Message.ts"

/**
 * Between a payload as its schema encodes it (plain JSON values) and bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec {
  /** The media type recorded in each message. */
  readonly contentType: string
  readonly encode: (payload: unknown, envelope: Envelope) => Effect.Effect<Uint8Array, CodecError>
  /** Quickest where what is there at once is answered as an `Either`, which is an effect. */
  readonly decode: (bytes: Uint8Array, envelope: Envelope) => Effect.Effect<unknown, CodecError>
}

/**
 * What a codec may put beside the payload.
 *
 * @since 0.1.0
 * @category models
 */
export interface Envelope extends Pick<Message, "id" | "name" | "kind" | "version" | "topic" | "time"> {}

/**
 * - `Unencodable`: the payload has no form in this format.
 * - `Undecodable`: the bytes are not of this format.
 *
 * @since 0.1.0
 * @category errors
 */
export class CodecError extends Schema.TaggedError<CodecError>("@effect-cqrs/core/CodecError")("CodecError", {
  reason: Schema.Literal("Unencodable", "Undecodable"),
  message: Schema.String
}) {}

/**
 * The payload as JSON (RFC 8259) in UTF-8.
 *
 * @since 0.1.0
 * @category constructors
 */
export const json: Codec = {
  contentType: "application/json",
  encode: (payload) =>
    Effect.flatMap(
      // undefined, or a function: no text
      Effect.try({ try: (): string | undefined => JSON.stringify(payload), catch: unencodable }),
      (text) => text === undefined ? Effect.fail(unencodable()) : Effect.succeed(encoder.encode(text))
    ),
  decode: (bytes) =>
    Either.try({
      try: () => JSON.parse(decoder.decode(bytes)),
      catch: () => new CodecError({ reason: "Undecodable", message: "The payload is not JSON in UTF-8" })
    })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** For a bigint, or a circle, too: the text of the error that is thrown would show the value. */
const unencodable = () => new CodecError({ reason: "Unencodable", message: "The payload has no JSON form" })

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })
