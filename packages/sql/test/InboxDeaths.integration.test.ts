import { Command, CommandExecutor } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { client, Filename, layerFilename } from "./sqlite.ts"

/** A process of its own on the database file: how it ended, and what it printed. */
const run = (poison: string, concurrency: number) =>
  Effect.scoped(Effect.gen(function*() {
    const filename = yield* Filename
    const executor = yield* CommandExecutor.CommandExecutor
    const process = yield* executor.start(Command.make(
      "node",
      "--import",
      "tsx",
      new URL("programs/poison.ts", import.meta.url).pathname,
      filename,
      poison,
      `${concurrency}`
    ))
    const [printed, end] = yield* Effect.all([
      Stream.mkString(Stream.decodeText(process.stdout)),
      // killed by a signal: the executor fails
      Effect.either(process.exitCode)
    ], { concurrency: "unbounded" })
    return end._tag === "Right" ? `exit ${end.right}: ${printed}`.trim() : `died: ${printed}`.trim()
  }))

const count = (statement: string) =>
  Effect.scoped(Effect.flatMap(Layer.build(client()), (context) =>
    Effect.provide(
      Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<{ readonly n: number }>(statement)),
      context
    ))).pipe(Effect.map((rows) => rows.map(({ n }) => n)))

describe("a message that kills its process with SIGKILL", () => {
  for (
    const [concurrency, deaths, what] of [
      [1, 5, "alone from the first time on"],
      [4, 6, "the first time beside others"]
    ] as const
  ) {
    it.scopedLive(
      `is a dead letter after five deaths alone, and nothing else is lost or blamed: ${what}`,
      () =>
        Effect.gen(function*() {
          for (let life = 1; life <= deaths; life++) {
            assert.strictEqual(yield* run("2", concurrency), "died:", `life ${life}`)
            assert.notInclude(yield* count("select n from facts"), 2)
          }
          assert.match(yield* run("2", concurrency), /^exit 0: 2 write: The process died 5 times in a row/)
          assert.deepStrictEqual(yield* count("select n from facts order by n"), [1, 3, 4])
          assert.deepStrictEqual(yield* count("select deaths as n from cqrs_inbox_start"), [])
          // redriven to a program that is mended
          assert.strictEqual(yield* run("none", concurrency), "exit 0:")
          assert.deepStrictEqual(yield* count("select n from facts order by n"), [1, 2, 3, 4])
        }).pipe(Effect.provide(Layer.merge(layerFilename, NodeContext.layer))),
      180_000
    )
  }
})
