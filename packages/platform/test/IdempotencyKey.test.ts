import { IdempotencyKey } from "@effect-cqrs/platform"
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"

const decode = Schema.decodeEither(IdempotencyKey.IdempotencyKey)

describe("the header Idempotency-Key", () => {
  for (
    const [text, key] of [
      ["8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"],
      ["\"8e03978e-40d5\"", "8e03978e-40d5"],
      ["\"two words\"", "two words"],
      ["\"a \\\"quote\\\" and \\\\\"", "a \"quote\" and \\"],
      ["a\\b", "a\\b"],
      [`"${"x".repeat(255)}"`, "x".repeat(255)]
    ] as const
  ) {
    it(`${text.slice(0, 40)} is read, and written as a string of structured fields`, () => {
      assert.deepStrictEqual(decode(text), Either.right(key))
      const written = Schema.encodeSync(IdempotencyKey.IdempotencyKey)(key)
      assert.match(written, /^".*"$/)
      assert.deepStrictEqual(decode(written), Either.right(key))
    })
  }

  for (
    const text of [
      "",
      "\"\"",
      "\"",
      "\"a",
      "a\"",
      "\"a\\\"",
      "\"a\\b\"",
      "two words",
      "ä",
      "\"ä\"",
      "a\nb",
      "\"a\";p=1"
    ].concat(
      "x".repeat(256),
      `"${"x".repeat(256)}"`
    )
  ) {
    it(`${JSON.stringify(text).slice(0, 40)} is refused`, () => {
      assert.isTrue(Either.isLeft(decode(text)))
    })
  }
})
