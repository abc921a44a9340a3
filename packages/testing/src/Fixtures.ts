/**
 * What tests of storages and brokers need again and again: messages, texts that are easily harmed, and waiting for something
 * to be so.
 *
 * @since 0.1.0
 */
import type { Message } from "@effect-cqrs/core/Message"
import type { Outgoing } from "@effect-cqrs/core/OutboxStorage"
import * as Effect from "effect/Effect"
import * as assert from "node:assert"

let count = 0

/**
 * A message with an id of its own; what is not given does not matter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const messageOf = (given: Partial<Outgoing> = {}): Outgoing => ({
  id: `message-${++count}`,
  name: "suite_event",
  kind: "notification",
  version: 1,
  topic: "suite",
  key: "key",
  source: "/suite",
  time: 1_700_000_000_000,
  correlationId: "correlation",
  causationId: undefined,
  traceparent: undefined,
  sequence: undefined,
  contentType: "application/json",
  contentEncoding: "identity",
  headers: {},
  payload: new TextEncoder().encode("{}"),
  ...given
})

/**
 * A message that has every attribute but a sequence.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fullMessageOf = (given: Partial<Outgoing> = {}): Outgoing =>
  messageOf({
    id: "0190a0b0-0000-7000-8000-000000000001",
    name: "room_closed",
    kind: "ecst",
    version: 7,
    topic: "rooms",
    key: "blue",
    source: "/rooms?a=b#c",
    time: 1_700_000_000_123,
    correlationId: "correlation",
    causationId: "causation",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    contentEncoding: "gzip",
    headers: { tenant: "acme", empty: "" },
    ...given
  })

/**
 * Text that is easily harmed on its way: quotes, escapes, combining marks, right-to-left, characters of four bytes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const texts: ReadonlyArray<string> = [
  "plain",
  "O'Reilly \"quoted\" `back` \\ % _ ; -- /* */ $1 ?",
  "größe é e\u0301 ﬁ ß İ ı",
  "日本語 한국어 العربية עברית ไทย",
  "\u{1F600}\u{1F468}\u200D\u{1F469}\u200D\u{1F467} \u{20000} \u{10FFFD}",
  " spaces around ",
  "x".repeat(200)
]

/**
 * The same message, with payloads compared as bytes.
 *
 * @since 0.1.0
 * @category combinators
 */
export const assertMessage = (actual: Message, expected: Message): void => {
  const { payload, ...rest } = actual
  const { payload: expectedPayload, ...expectedRest } = expected
  assert.deepStrictEqual(rest, expectedRest)
  assert.ok(payload instanceof Uint8Array, "the payload is a Uint8Array")
  const at = payload.findIndex((byte, index) => byte !== expectedPayload[index])
  if (payload.length !== expectedPayload.length || at >= 0) {
    assert.fail(
      `the payload of ${expected.id} has ${payload.length} bytes in place of ${expectedPayload.length}` +
        (at >= 0 ? `, and differs from byte ${at}` : "")
    )
  }
}

/**
 * Looks again and again until it is as wanted, for up to ten seconds.
 *
 * @since 0.1.0
 * @category combinators
 */
export const eventually = <A, E, R>(
  what: string,
  look: Effect.Effect<A, E, R>,
  isWanted: (value: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    for (let attempt = 0;; attempt++) {
      const value = yield* look
      if (isWanted(value)) return value
      if (attempt >= 1000) assert.fail(`not within ten seconds: ${what}`)
      yield* Effect.sleep("10 millis")
    }
  })
