/** `npm run demo` as a process: what it says where it cannot run. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/meeting-rooms/main.ts", import.meta.url))

interface Ended {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

const demo = (...args: ReadonlyArray<string>) =>
  Effect.async<Ended>((resume) => {
    const child = execFile(process.execPath, ["--import", "tsx", main, ...args], (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error?.code ?? 0, stdout, stderr }))
    })
    return Effect.sync(() => child.kill())
  })

describe("the demo says in one sentence on standard error, and exits with 1, if", () => {
  for (
    const [why, args, said] of [
      ["its input is a directory", ["--input", "/"], "/ is a directory: give --input a file"],
      ["its input is not there", ["--input", "/nowhere.ndjson"], "There is no file /nowhere.ndjson"],
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
