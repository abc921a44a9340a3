/**
 * Compression of payloads, recorded per message so that it can change at any time.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { promisify } from "node:util"
import * as zlib from "node:zlib"

/**
 * @since 0.1.0
 * @category models
 */
export interface Compressor {
  /** The name recorded in each message. Both sides must know it. */
  readonly encoding: string
  readonly compress: (bytes: Uint8Array) => Effect.Effect<Uint8Array, CompressorError>
  /** Fails with `TooLarge` rather than yield more than `limit` bytes, and without having made them. */
  readonly decompress: (bytes: Uint8Array, limit: number) => Effect.Effect<Uint8Array, CompressorError>
}

/**
 * - `Corrupt`: the bytes are not what their encoding says.
 * - `TooLarge`: they grow beyond the limit.
 * - `Failed`: they could not be compressed.
 *
 * @since 0.1.0
 * @category errors
 */
export class CompressorError
  extends Schema.TaggedError<CompressorError>("@effect-cqrs/core/CompressorError")("CompressorError", {
    reason: Schema.Literal("Corrupt", "TooLarge", "Failed"),
    message: Schema.String
  })
{}

/**
 * No compression.
 *
 * @since 0.1.0
 * @category constructors
 */
export const identity: Compressor = {
  encoding: "identity",
  compress: Effect.succeed,
  decompress: (bytes, limit) => bytes.length > limit ? tooLarge("identity", limit) : Effect.succeed(bytes)
}

/**
 * RFC 1952.
 *
 * @since 0.1.0
 * @category constructors
 */
export const gzip = (options?: { readonly level?: number | undefined }): Compressor =>
  fromZlib("gzip", promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip), promisify(zlib.gunzip), {
    level: options?.level ?? zlib.constants.Z_DEFAULT_COMPRESSION
  })

/**
 * RFC 1950, as Python's `zlib`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const deflate = (options?: { readonly level?: number | undefined }): Compressor =>
  fromZlib("zlib", promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.deflate), promisify(zlib.inflate), {
    level: options?.level ?? zlib.constants.Z_DEFAULT_COMPRESSION
  })

/**
 * RFC 7932, with quality 4 unless given: the default of 11 is for files that are compressed once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const brotli = (options?: { readonly quality?: number | undefined }): Compressor =>
  fromZlib(
    "brotli",
    promisify<zlib.InputType, zlib.BrotliOptions, Buffer>(zlib.brotliCompress),
    promisify(zlib.brotliDecompress),
    { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: options?.quality ?? 4 } }
  )

/**
 * What a program can read unless told otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: ReadonlyArray<Compressor> = [identity, gzip(), deflate(), brotli()]

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const tooLarge = (encoding: string, limit: number) =>
  Effect.fail(
    new CompressorError({
      reason: "TooLarge",
      message: `The payload (${encoding}) is larger than the limit of ${limit} bytes: raise ` +
        "Serialization's maxDecompressedBytes if this is not an attack"
    })
  )

function fromZlib<O>(
  encoding: string,
  compress: (bytes: Uint8Array, options: O) => Promise<Uint8Array>,
  decompress: (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Uint8Array>,
  options: O
): Compressor {
  return {
    encoding,
    compress: (bytes) =>
      Effect.tryPromise({
        try: () => compress(bytes, options),
        catch: () =>
          new CompressorError({ reason: "Failed", message: `The payload could not be compressed (${encoding})` })
      }),
    decompress: (bytes, limit) =>
      Effect.tryPromise({
        // zlib refuses a limit of 0
        try: () => decompress(bytes, { maxOutputLength: Math.max(limit, 1) }),
        catch: (error) => (error as { readonly code?: unknown }).code
      }).pipe(
        Effect.catchAll((code) =>
          code === "ERR_BUFFER_TOO_LARGE" ? tooLarge(encoding, limit) : Effect.fail(
            new CompressorError({ reason: "Corrupt", message: `The payload is not valid ${encoding}` })
          )
        ),
        Effect.flatMap((plain) => plain.length > limit ? tooLarge(encoding, limit) : Effect.succeed(plain))
      )
  }
}
