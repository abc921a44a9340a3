/** `effect-cqrs migrate`: the tables. */
import * as Migrations from "@effect-cqrs/sql/Migrations"
import * as Tables from "@effect-cqrs/sql/Tables"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { confirmed } from "../internal/confirmation.ts"
import * as Database from "../internal/database.ts"
import { CliError } from "../internal/exitCode.ts"
import { count, fields, print } from "../internal/output.ts"
import * as Settings from "../internal/settings.ts"

const Plan = Schema.Struct({
  product: Schema.String,
  serverVersion: Schema.String,
  version: Schema.Number,
  expected: Schema.Number,
  missingTables: Schema.Array(Schema.String),
  outstanding: Schema.Array(Schema.Struct({ name: Schema.String, statements: Schema.Array(Schema.String) })),
  applied: Schema.Array(Schema.String)
})

const planOf = ({ expected, missing, outstanding, server, version }: Tables.Inspection): typeof Plan.Type => ({
  product: server.product,
  serverVersion: server.version,
  version,
  expected,
  missingTables: missing.tables,
  outstanding,
  applied: []
})

const render = (
  { applied, expected, missingTables, outstanding, product, serverVersion, version }: typeof Plan.Type
) => [
  ...fields([["database", `${product} ${serverVersion}`], ["tables", `version ${version} of ${expected}`]]),
  ...applied.length > 0
    ? [`Applied ${applied.join(", ")}.`]
    : outstanding.length > 0
    ? [
      "To be applied:",
      ...outstanding.map(({ name, statements }) => `  ${name}  (${count(statements.length, "statement")})`)
    ]
    : missingTables.length > 0
    ? [`Missing although their migration is noted: ${missingTables.join(", ")}. Restore them.`]
    : ["There is nothing to apply."]
]

const printed = print(Plan, render)

/** Tables of a newer program are not to be touched by this one. */
const inspected = (prefix: string) =>
  Effect.filterOrFail(
    Tables.inspect({ prefix }),
    ({ expected, version }) => version <= expected,
    ({ expected, version }) =>
      new CliError({
        ending: "Tables",
        message: `The tables are of version ${version}, newer than this program's ${expected}: update @effect-cqrs/cli`
      })
  )

const plan = Command.make(
  "plan",
  Settings.database,
  (options) =>
    Effect.flatMap(inspected(options.prefix), (found) => printed(planOf(found), options)).pipe(
      Effect.provide(Database.client(options))
    )
).pipe(
  Command.withDescription(Settings.help(
    "Says which version the tables are of, and what would be applied. Changes nothing.",
    "migrate plan --database postgres://app@localhost:5432/app"
  ))
)

const apply = Command.make(
  "apply",
  { ...Settings.database, ...Settings.changing },
  (options) =>
    Effect.gen(function*() {
      const before = yield* inspected(options.prefix)
      const { outstanding, server } = before
      if (server.complaint !== undefined) {
        return yield* new CliError({ ending: "Unreachable", message: server.complaint })
      }
      if (outstanding.length === 0 || options.dryRun) {
        return yield* printed(planOf(before), options)
      }
      if (!options.json) { for (const line of render(planOf(before))) yield* Console.log(line) }
      yield* confirmed(`apply ${count(outstanding.length, "migration")}`, options)
      const applied = yield* Migrations.run({ prefix: options.prefix })
      const after = yield* inspected(options.prefix)
      if (options.json) return yield* printed({ ...planOf(after), applied }, options)
      yield* Console.log(applied.length > 0 ? `Applied ${applied.join(", ")}.` : "Somebody else has applied them.")
    }).pipe(Effect.provide(Database.client(options, { create: !options.dryRun })))
).pipe(
  Command.withDescription(Settings.help(
    "Applies what is missing. Programs that do so at the same time apply a migration once.",
    "migrate apply --database sqlite:app.db --yes",
    "migrate apply --database mysql://app@localhost:3306/app --dry-run"
  ))
)

const dialect = Options.choice("dialect", ["mysql", "postgres", "sqlite"] as const).pipe(
  Options.withDescription("For which database; mysql is MariaDB as well")
)

const sql = Command.make("sql", { dialect, prefix: Settings.database.prefix }, ({ dialect, prefix }) =>
  Effect.flatMap(
    Effect.mapError(
      Migrations.sql({ dialect, prefix }),
      ({ message }) => new CliError({ ending: "Usage", message })
    ),
    (text) => Console.log(text.trimEnd())
  )).pipe(
    Command.withDescription(Settings.help(
      "Prints the statements, for those whose database is changed by others. Needs no database.",
      "migrate sql --dialect postgres > tables.sql"
    ))
  )

export const migrate = Command.make("migrate").pipe(
  Command.withDescription("The tables: what is missing, how it is made"),
  Command.withSubcommands([plan, apply, sql])
)
