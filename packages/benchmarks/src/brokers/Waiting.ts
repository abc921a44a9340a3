/**
 * The messages that wait in an outbox, as a relay would publish them.
 */
import type { Message } from "@effect-cqrs/core/Message"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Effect from "effect/Effect"

const perPage = 1000

/** All of them, by sequence. */
export const waiting: Effect.Effect<ReadonlyArray<Message>, unknown, OutboxStorage> = Effect.gen(function*() {
  const storage = yield* OutboxStorage
  const all: Array<{ readonly sequence: bigint; readonly message: Message }> = []
  for (let bucket = 0; bucket < storage.buckets; bucket++) {
    let after: bigint | undefined
    for (;;) {
      const page = yield* storage.read({
        from: [{ bucket, ...(after === undefined ? {} : { after }) }],
        limit: perPage,
        maxBytes: 64 * 1024 * 1024,
        exceptTopics: []
      })
      for (const { message, sequence } of page) all.push({ sequence, message })
      if (page.length === 0) break
      after = page.at(-1)!.sequence
    }
  }
  return all.sort((a, b) => a.sequence < b.sequence ? -1 : 1).map(({ message }) => message)
})
