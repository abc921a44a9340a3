import { Migrations, SqlStorage } from "@effect-cqrs/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer } from "effect"

/** Migrates the database file, starts on it, and prints what it applied. */
await Effect.runPromise(
  Effect.gen(function*() {
    yield* Effect.flatMap(Migrations.run(), (applied) => Console.log(applied.join()))
    yield* Effect.scoped(Layer.build(SqlStorage.layer()))
  }).pipe(Effect.provide(SqliteClient.layer({ filename: process.argv[2]! })))
)
