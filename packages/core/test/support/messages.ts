import type { Message } from "@effect-cqrs/core"
import { FastCheck as fc } from "effect"

export const optional = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })

/** Messages of all kinds, with what is given in place of any text or bytes. */
export const messagesOf = (
  { text, ...given }:
    & { readonly text: fc.Arbitrary<string> }
    & {
      readonly [K in "traceparent" | "contentType" | "headers" | "payload"]?: fc.Arbitrary<Message.Message[K]>
    }
): fc.Arbitrary<Message.Message> =>
  fc.record({
    id: fc.fullUnicodeString({ minLength: 1 }),
    name: fc.fullUnicodeString({ minLength: 1 }),
    kind: fc.constantFrom("notification" as const, "ecst" as const),
    version: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    topic: text,
    key: optional(text),
    source: text,
    time: fc.integer({ min: -8.64e15, max: 8.64e15 }),
    correlationId: text,
    causationId: optional(text),
    traceparent: optional(text),
    sequence: optional(fc.bigInt({ min: 0n, max: (1n << 63n) - 1n })),
    contentType: text,
    contentEncoding: fc.constantFrom("identity", "gzip", "zlib", "brotli", "zstd"),
    headers: fc.dictionary(text, text),
    payload: fc.uint8Array(),
    ...given
  })
