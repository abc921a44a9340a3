import * as Inbox from "@effect-cqrs/core/Inbox"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as assert from "node:assert"
import { keyOf, type Topic } from "./topic.ts"

/** What is remembered survives the process. */
export const restartCases = <R>({ assertStored, cases, facts, write }: Topic<R>): void => {
  cases.itWith(facts.reopen, "remembers after a restart", (id, reopen) =>
    Effect.gen(function*() {
      const layer = yield* reopen(id)
      const handle = (key: string) => Effect.provide(Inbox.process(keyOf(), write(key)), Layer.fresh(layer))
      assert.strictEqual((yield* handle("a"))._tag, "Handled")
      assert.strictEqual((yield* handle("b"))._tag, "Duplicate")
      yield* Effect.provide(assertStored(["a"]), Layer.fresh(layer))
    }))
}
