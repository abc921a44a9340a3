import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import path from "node:path"
import * as Local from "../src/servers/Local.ts"

describe("servers of a run's own", () => {
  it.effect("are found in the folders given, before the path", () =>
    Effect.gen(function*() {
      const folder = path.dirname(process.execPath)
      const found = yield* Local.find("Node", ["no-such-program", path.basename(process.execPath)], [folder])
      assert.strictEqual(found, process.execPath)
    }))

  it.effect("that are not installed are a sentence that says what to do", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(Local.find("MariaDB", ["no-such-program"], ["/nowhere"]))
      assert.strictEqual(
        message,
        "MariaDB is not installed here (there is no no-such-program), and chaos starts and stops a server of its own: " +
          "install it, or choose another with --database or --broker"
      )
    }))

  it.effect("say what they said when they fail", () =>
    Effect.gen(function*() {
      const failed = Local.run(process.execPath, ["-e", "console.error('no room'); process.exit(3)"])
      const { message } = yield* Effect.flip(failed)
      assert.match(message, /failed with 3: no room/)
    }))

  it.live("have a folder and processes that go with the scope", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.scoped(Effect.gen(function*() {
        const folder = yield* Local.folder("test")
        const log = path.join(folder, "log")
        const daemon = yield* Local.daemon(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
          log,
          ending: "SIGTERM"
        })
        yield* daemon.start
        assert.isTrue(existsSync(log))
        yield* daemon.stop("SIGKILL")
        yield* daemon.start
        return folder
      }))
      assert.isFalse(existsSync(folder))
    }))
})
