import { Migrations, SqlStorage } from "@effect-cqrs/sql"
import { Command } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Migrator, SqlClient } from "@effect/sql"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"

/** Whether a program is installed. */
const isInstalled = (program: string): boolean =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

type Columns = ReadonlyArray<Readonly<Record<string, unknown>>>

/** The tests of the migrations as plain SQL on an empty database of one kind. */
export const plainSqlTests = <R = never>(options: {
  readonly dialect: "mysql" | "postgres" | "sqlite"
  readonly layer: () => Layer.Layer<SqlClient.SqlClient | R, unknown>
  /** The columns of all tables, each with the name of its table as `relation`. */
  readonly catalogue: Effect.Effect<Columns, unknown, SqlClient.SqlClient>
  /** The database's own command line, which reads statements from its standard input. */
  readonly commandLine: {
    readonly program: string
    readonly arguments: Effect.Effect<ReadonlyArray<string>, unknown, SqlClient.SqlClient | R>
  }
}): void => {
  const { dialect } = options

  const starts = (prefix: string) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Layer.build(SqlStorage.layer({ prefix })))
      assert.deepStrictEqual(yield* Migrations.run({ prefix }), [])
    })

  const statements = (prefix: string) =>
    Effect.flatMap(
      SqlClient.SqlClient,
      (sql) =>
        Effect.flatMap(Migrations.sql({ dialect, prefix }), (text) =>
          Effect.forEach(
            text.split(/;\n/).filter((statement) => statement.trim() !== ""),
            (statement) => sql.unsafe(statement),
            { discard: true }
          ))
    )

  for (const prefix of ["cqrs_", "Mixed_Case_", "x".repeat(31)]) {
    it.scopedLive(`with the prefix ${prefix} they are all that a start needs, and leave nothing to apply`, () =>
      Effect.gen(function*() {
        yield* statements(prefix)
        yield* starts(prefix)
        yield* statements(prefix)
        yield* starts(prefix)
      }).pipe(Effect.provide(options.layer())))
  }

  it.scopedLive("they make the tables that Migrations.run makes, and are fine where it has made them", () =>
    Effect.gen(function*() {
      const run = yield* Effect.gen(function*() {
        yield* Migrations.run()
        const before = yield* options.catalogue
        yield* statements("cqrs_")
        assert.deepStrictEqual(yield* options.catalogue, before)
        return before
      }).pipe(Effect.provide(Layer.fresh(options.layer())))
      yield* Effect.gen(function*() {
        yield* statements("cqrs_")
        assert.deepStrictEqual(yield* options.catalogue, run)
      }).pipe(Effect.provide(Layer.fresh(options.layer())))
      assert.isAbove(run.length, 20)
    }))

  it.scopedLive("the table of the migrations has the shape that @effect/sql gives it", () =>
    Effect.gen(function*() {
      yield* Migrator.make({})({ loader: Effect.succeed([]), table: "theirs" })
      const theirs = yield* options.catalogue
      yield* statements("cqrs_")
      const ours = (yield* options.catalogue).filter((column) => column.relation === "cqrs_migrations")
      const shape = (columns: Columns) => JSON.stringify(columns.map((one) => ({ ...one, relation: "" }))).toLowerCase()
      assert.strictEqual(shape(ours), shape(theirs))
      assert.lengthOf(ours, 3)
    }).pipe(Effect.provide(options.layer())))

  const { arguments: given, program } = options.commandLine
  const piped = `they go through the command line of ${program} as one text`
  if (isInstalled(program)) {
    it.scopedLive(piped, () =>
      Effect.gen(function*() {
        const text = yield* Migrations.sql({ dialect })
        const command = Command.feed(Command.make(program, ...yield* given), text)
        const { code, said } = yield* Effect.flatMap(Command.start(command), (running) =>
          Effect.all({
            code: running.exitCode,
            said: Stream.mkString(Stream.decodeText(running.stderr)),
            out: Stream.runDrain(running.stdout)
          }, { concurrency: "unbounded" }))
        assert.strictEqual(said.replace(/^NOTICE.*\n/gm, ""), "")
        assert.strictEqual(code, 0)
        yield* starts("cqrs_")
      }).pipe(Effect.provide(Layer.merge(options.layer(), NodeContext.layer))))
  } else {
    it.skip(`${piped} (${program} is not installed)`, () => {})
  }
}
