import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import path from "node:path"
import * as History from "../src/History.ts"
import * as Local from "../src/servers/Local.ts"
import { announced, sound, struck } from "./histories.ts"

describe("a history that is kept", () => {
  it.scoped("is read as it was written", () =>
    Effect.gen(function*() {
      const file = path.join(yield* Local.folder("test"), "history.jsonl")
      const history = sound([announced("a", 1), announced("a", 2, { kind: "poison" })], {
        faults: [struck("kill-relay", { buckets: 3, takenOver: 5 })],
        exits: [{ process: "relay 1", how: "exit code 1", at: 3 }],
        unrest: ["3 events are pending"]
      })
      yield* History.write(file, history)
      assert.deepStrictEqual(yield* History.read(file), history)
    }))

  it.effect("is a sentence where there is none", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(History.read("package.json"))
      assert.match(message, /package\.json is no history of chaos/)
    }))
})
