import { Event, Outbox, OutboxStorage, Transaction } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FastCheck as fc, Layer, Schema } from "effect"
import { controlOf } from "../src/internal/guarded.ts"
import { layerInMemory } from "./sqlite.ts"

const blank = fc.constantFrom(
  " ",
  "\n",
  "\t",
  "  ",
  " /* SAVEPOINT no */ ",
  " -- COMMIT\n",
  "/**/",
  "/* a\n * b */ "
)
const leading = fc.array(fc.oneof(blank, fc.constant(";")), { maxLength: 3 }).map((parts) => parts.join(""))
const between = fc.array(blank, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(""))
const trailing = fc.constantFrom("", ";", " ;", "\n", " ; ", " -- so", " /* so */", "; -- so")

/** The same letters, some of them capitals. */
const cased = (word: string) =>
  fc.array(fc.boolean(), { minLength: word.length, maxLength: word.length }).map((capitals) =>
    [...word].map((letter, n) => capitals[n] ? letter.toUpperCase() : letter.toLowerCase()).join("")
  )

const words = (parts: ReadonlyArray<string>) =>
  fc.tuple(...parts.map(cased), ...parts.map(() => between)).map((all) => {
    const spaces = all.slice(parts.length)
    return all.slice(0, parts.length).map((word, n) => word + (n < parts.length - 1 ? spaces[n] : "")).join("")
  })

const plain = fc.stringMatching(/^[a-z_][a-z0-9_]{0,10}$/).filter((name) => !["savepoint", "to"].includes(name))
const quotes: ReadonlyArray<readonly [string, string]> = [["\"", "\""], ["`", "`"], ["[", "]"], ["'", "'"]]
const quoted = fc.tuple(fc.stringMatching(/^[a-z_ .;-]{1,10}$/), fc.constantFrom(...quotes)).map(
  ([name, [open, close]]) => ({ name, text: open + name + close })
)
const savepointName = fc.oneof(plain.map((name) => ({ name, text: name })), quoted)

const named = (verbs: ReadonlyArray<ReadonlyArray<string>>) =>
  fc.tuple(leading, fc.oneof(...verbs.map(words)), between, savepointName, trailing).map(
    ([before, verb, space, { name, text }, after]) => ({ name, text: before + verb + space + text + after })
  )

describe("controlOf", () => {
  it.prop(
    "knows SAVEPOINT in every spelling",
    [named([["savepoint"]])],
    ([{ name, text }]) => assert.deepStrictEqual(controlOf(text), { _tag: "Savepoint", name })
  )

  it.prop(
    "knows RELEASE in every spelling",
    [named([["release"], ["release", "savepoint"]])],
    ([{ name, text }]) => assert.deepStrictEqual(controlOf(text), { _tag: "Release", name })
  )

  it.prop(
    "knows ROLLBACK TO in every spelling",
    [named([
      ["rollback", "to"],
      ["rollback", "to", "savepoint"],
      ["rollback", "transaction", "to"],
      ["rollback", "transaction", "to", "savepoint"],
      ["rollback", "work", "to", "savepoint"]
    ])],
    ([{ name, text }]) => assert.deepStrictEqual(controlOf(text), { _tag: "RollbackTo", name })
  )

  it.prop(
    "knows what would begin or end the transaction, in every spelling",
    [
      fc.tuple(
        leading,
        fc.oneof(
          ...[
            ["begin"],
            ["begin", "transaction"],
            ["begin", "immediate"],
            ["begin", "exclusive", "transaction"],
            ["start", "transaction"],
            ["commit"],
            ["commit", "transaction"],
            ["commit", "work"],
            ["end"],
            ["end", "transaction"],
            ["rollback"],
            ["rollback", "transaction"],
            ["rollback", "work"],
            ["abort"]
          ].map(words)
        ),
        trailing
      ).map((parts) => parts.join(""))
    ],
    ([text]) => assert.strictEqual(controlOf(text)?._tag, "Whole")
  )

  it.prop(
    "takes nothing else for one",
    [
      fc.tuple(
        leading,
        fc.constantFrom("select", "insert", "update", "with", "beginning", "commits", "to", "x"),
        fc.string()
      )
        .map(([before, verb, rest]) => `${before}${verb} ${rest}`)
    ],
    ([text]) => assert.strictEqual(controlOf(text), undefined)
  )

  it("reads doubled quotes and a name that is a keyword", () => {
    assert.deepStrictEqual(controlOf("savepoint \"a\"\"b\""), { _tag: "Savepoint", name: "a\"b" })
    assert.deepStrictEqual(controlOf("release 'it''s'"), { _tag: "Release", name: "it's" })
    assert.deepStrictEqual(controlOf("rollback to \"savepoint\""), { _tag: "RollbackTo", name: "savepoint" })
    assert.deepStrictEqual(controlOf("savepoint to"), { _tag: "Savepoint", name: "to" })
    assert.strictEqual(controlOf("'commit'"), undefined)
  })

  it.prop("answers for any text", [fc.string()], ([text]) => void controlOf(text))

  it("answers at once for a long text that looks like comments", () => {
    const start = performance.now()
    for (
      const text of [
        "/*".repeat(50_000),
        "-".repeat(100_000),
        " ".repeat(100_000) + "x",
        "/**/".repeat(25_000),
        "--\n".repeat(30_000)
      ]
    ) {
      controlOf(text)
    }
    assert.isBelow(performance.now() - start, 1000)
  })
})

class Noted extends Event.notification<Noted>()("guarded_noted", {
  topic: "notes",
  payload: { key: Schema.String }
}) {}

const Database = Layer.provideMerge(
  SqlStorage.layer({ migrate: true }),
  Layer.effectDiscard(Effect.flatMap(SqlClient.SqlClient, (sql) => sql`create table facts (key text primary key)`))
).pipe(Layer.provideMerge(layerInMemory))

const stored = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const storage = yield* OutboxStorage.OutboxStorage
  const writes = yield* sql<{ key: string }>`select key from facts order by rowid`
  const entries = yield* storage.read({
    from: Array.from({ length: storage.buckets }, (_, bucket) => ({ bucket })),
    limit: 100_000,
    maxBytes: Number.MAX_SAFE_INTEGER,
    exceptTopics: []
  })
  return {
    writes: writes.map((row) => row.key),
    events: entries.map((entry): string => JSON.parse(new TextDecoder().decode(entry.message.payload)).key)
  }
})

describe("savepoints of one's own on SQLite", () => {
  it.scopedLive(
    "whatever statements come in whatever order, events share the fate of the writes beside them",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const runtime = yield* Effect.runtime<SqlClient.SqlClient | OutboxStorage.OutboxStorage>()
        let count = 0
        // few names in several spellings, so that they meet
        const name = fc.constantFrom("a", "A", "\"a\"", "b", "`B`", "[b]", "'a'")
        const step = fc.oneof(
          { weight: 4, arbitrary: fc.constant("both") },
          { weight: 3, arbitrary: name.map((name) => `savepoint ${name}`) },
          { weight: 2, arbitrary: name.map((name) => `rollback to ${name}`) },
          { weight: 1, arbitrary: name.map((name) => `ROLLBACK TRANSACTION TO SAVEPOINT ${name};`) },
          { weight: 2, arbitrary: name.map((name) => `release ${name}`) },
          { weight: 1, arbitrary: name.map((name) => `/* so */ RELEASE SAVEPOINT ${name}`) },
          { weight: 1, arbitrary: fc.constantFrom("run", "failing run", "client", "failing client") }
        )
        const execute = (step: string): Effect.Effect<unknown, unknown, any> => {
          const both = Effect.suspend(() => {
            const key = `k${++count}`
            return Effect.zipRight(sql`insert into facts values (${key})`, Outbox.add(new Noted({ key })))
          })
          switch (step) {
            case "both":
              return both
            case "run":
              return Transaction.run(both)
            case "client":
              return sql.withTransaction(both)
            case "failing run":
              return Effect.exit(Transaction.run(Effect.zipRight(both, Effect.fail("no"))))
            case "failing client":
              return Effect.exit(sql.withTransaction(Effect.zipRight(both, Effect.fail("no"))))
            default:
              return Effect.exit(sql.unsafe(step))
          }
        }
        const property = fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), (steps) =>
          Effect.gen(function*() {
            const exit = yield* Effect.exit(Transaction.run(Effect.forEach(steps, execute, { discard: true })))
            assert.isTrue(Exit.isSuccess(exit), String(exit))
            const { events, writes } = yield* stored
            assert.deepStrictEqual(events, writes)
          }).pipe(Effect.provide(runtime as any), (effect) =>
            Effect.runPromise(effect as Effect.Effect<void>)))
        yield* Effect.promise(() =>
          fc.assert(property, { numRuns: 150 })
        )
      }).pipe(Effect.provide(Database)),
    60_000
  )
})
