/** `npm run demo` as a process: what it says where it cannot run. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { demo } from "./support.ts"

describe("the demo says in one sentence on standard error, and exits with 1, if", () => {
  for (
    const [why, args, said] of [
      ["its input is a directory", ["--input", "/"], "/ is a directory: give --input a file"],
      ["its input is not there", ["--input", "/nowhere.ndjson"], "There is no file /nowhere.ndjson"],
      ["the memory broker is to be shared by processes", ["--processes"], "The memory broker lives in one process"],
      ["a file is given to a server", ["--database", "mysql", "--file", "x"], "--file is SQLite's"],
      ["a role has no run to join", ["--broker", "kafka", "--role", "relay"], "--role joins a run"],
      ["its database cannot be opened", ["--commands", "1", "--file", "/nowhere/x.db"], "/nowhere/x.db"]
    ] as const
  ) {
    it.live(why, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* demo(...args)
        assert.include(stderr, said)
        assert.match(stderr, /^[^\n]+\n$/)
        assert.strictEqual(stdout, "")
        assert.strictEqual(code, 1)
      }), 60_000)
  }
})
