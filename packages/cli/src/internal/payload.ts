/** A payload, for people, where it was asked for. */
import * as Compressor from "@effect-cqrs/core/Compressor"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Schema from "effect/Schema"

export const Payload = Schema.Struct({
  contentType: Schema.String,
  /** How `content` is written: as text, or as base64 of what is no text. */
  as: Schema.Literal("text", "base64"),
  content: Schema.String
})

const known = Compressor.defaults

/** Larger ones are not unpacked. */
const most = 16 * 1024 * 1024

/** Unpacked where that is possible. */
export const payloadOf = (
  message: { readonly contentType: string; readonly contentEncoding: string; readonly payload: Uint8Array }
): Effect.Effect<typeof Payload.Type> => {
  const compressor = known.find(({ encoding }) => encoding === message.contentEncoding)
  const unpacked = compressor === undefined
    ? Effect.succeed(message.payload)
    : Effect.orElseSucceed(compressor.decompress(message.payload, most), () => message.payload)
  return Effect.map(unpacked, (bytes) => {
    const text = Either.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes))
    return {
      contentType: message.contentType,
      ...Either.isRight(text)
        ? { as: "text" as const, content: text.right }
        : { as: "base64" as const, content: Encoding.encodeBase64(bytes) }
    }
  })
}
