/**
 * The header `Idempotency-Key`, as a schema and for the command that a request sends.
 *
 * @since 0.1.0
 */
import * as Idempotency from "@effect-cqrs/core/Idempotency"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/**
 * The header's value: a string of structured fields (RFC 8941, in quotes), as the draft
 * `draft-ietf-httpapi-idempotency-key-header` has it, or a bare one, as many clients send it. 1 to 255 characters of
 * visible ASCII, and spaces within the quotes.
 *
 * @since 0.1.0
 * @category schemas
 */
export const IdempotencyKey: Schema.Schema<string, string> = Schema.transformOrFail(
  Schema.String,
  Schema.String.pipe(Schema.pattern(/^[ -~]{1,255}$/)),
  {
    strict: true,
    decode: (text, _, ast) => {
      if (/^[!#-~]+$/.test(text)) return ParseResult.succeed(text)
      const quoted = /^"((?:[ !#-[\]-~]|\\["\\])*)"$/.exec(text)
      return quoted === null
        ? ParseResult.fail(
          new ParseResult.Type(ast, text, "Idempotency-Key must be a string such as \"8e03978e-40d5-43e8-bc93\"")
        )
        : ParseResult.succeed(quoted[1]!.replace(/\\(.)/g, "$1"))
    },
    encode: (key) => ParseResult.succeed(`"${key.replace(/["\\]/g, "\\$&")}"`)
  }
).annotations({
  identifier: "IdempotencyKey",
  jsonSchema: { type: "string", minLength: 1, maxLength: 512 },
  description:
    "Chosen by the client for one command: repeated with the same key it is not run again, and has the same answer"
})

/**
 * The headers of an endpoint whose command may come with a key, for `HttpApiEndpoint.setHeaders`. Where a key is to be
 * required use `{ "idempotency-key": IdempotencyKey }`: a request without is then answered with 400.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Headers = Schema.Struct({ "idempotency-key": Schema.optional(IdempotencyKey) })

/**
 * Gives the command that an effect sends the key of its request, if that has one. An answer that was stored before has
 * the header `Idempotency-Replayed: true`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide = (
  key: string | undefined,
  options?: {
    /** Whose key it is, such as the user or tenant: keys of different callers are not to meet. */
    readonly scope?: string | undefined
  } | undefined
) =>
<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  key === undefined ? effect : Idempotency.provide(effect, {
    key,
    scope: options?.scope,
    onReplay: HttpApp.appendPreResponseHandler((_, response) =>
      Effect.succeed(HttpServerResponse.setHeader(response, "idempotency-replayed", "true"))
    )
  })
