import { SqlError } from "@effect/sql"
import type { Connection } from "@effect/sql/SqlConnection"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"
import { begun } from "../src/internal/errors.ts"
import { Opened } from "../src/internal/opening.ts"

const opening = { begun, text: "SET autocommit = 0; SAVEPOINT guard", count: 2 }

/** What mysql2 answers: rows to a query, a header to other statements, a list of these to several. */
const answerTo = (statement: string): unknown =>
  statement.startsWith("select") ? [{ text: statement }] : { affectedRows: 1 }

const setUp = () => {
  const sent: Array<string> = []
  let failures = 0
  const say = (text: string): Effect.Effect<any, SqlError.SqlError> =>
    Effect.suspend(() => {
      sent.push(text)
      if (failures-- > 0) return new SqlError.SqlError({ cause: text })
      const answers = text.split("; ").map(answerTo)
      return Effect.succeed(answers.length > 1 ? answers : answers[0])
    })
  const rows = (text: string) => Effect.map(say(text), (answer) => Array.isArray(answer) ? answer : [])
  const driver: Connection = {
    execute: rows,
    executeRaw: say,
    executeValues: rows,
    executeUnprepared: rows,
    executeStream: (text) => Stream.fromIterableEffect(rows(text))
  }
  return { connection: new Opened(driver, opening), sent, fail: (times: number) => failures = times }
}

describe("Opened", () => {
  it.effect("begins in the round trip of a first statement that is text, and answers what that alone is answered", () =>
    Effect.gen(function*() {
      for (
        const [statement, answer] of [
          ["insert", []],
          ["select 1", [{ text: "select 1" }]],
          ["select 1; insert", [[{ text: "select 1" }], { affectedRows: 1 }]]
        ] as const
      ) {
        const { connection, sent } = setUp()
        assert.deepStrictEqual(yield* connection.executeUnprepared(statement, [], undefined), answer as any)
        assert.deepStrictEqual(yield* connection.executeUnprepared(statement, [], undefined), answer as any)
        assert.deepStrictEqual(sent, [`${opening.text}; ${statement}`, statement])
      }
    }))

  it.effect("transforms the rows of that statement, and nothing else", () =>
    Effect.gen(function*() {
      const { connection } = setUp()
      const names = (rows: ReadonlyArray<object>) => rows.map(Object.keys)
      assert.deepStrictEqual(yield* connection.executeUnprepared("select 1", [], names as any), [["text"]])
    }))

  it.effect("begins before a first statement of any other kind", () =>
    Effect.gen(function*() {
      for (
        const run of [
          (connection: Connection) => connection.execute("insert", [], undefined),
          (connection: Connection) => connection.executeRaw("insert", []),
          (connection: Connection) => connection.executeValues("insert", []),
          (connection: Connection) =>
            Effect.map(Stream.runCollect(connection.executeStream("insert", [], undefined)), Chunk.toReadonlyArray)
        ]
      ) {
        const { connection, sent } = setUp()
        yield* run(connection)
        yield* run(connection)
        assert.deepStrictEqual(sent, [opening.text, "insert", "insert"])
      }
    }))

  it.effect("begins again with each statement until one has succeeded: none runs outside of the transaction", () =>
    Effect.gen(function*() {
      const { connection, fail, sent } = setUp()
      fail(2)
      yield* Effect.flip(connection.executeUnprepared("insert", [], undefined))
      yield* Effect.flip(connection.executeRaw("insert", []))
      yield* connection.executeUnprepared("COMMIT", [], undefined)
      assert.deepStrictEqual(sent, [`${opening.text}; insert`, opening.text, `${opening.text}; COMMIT`])
    }))
})
