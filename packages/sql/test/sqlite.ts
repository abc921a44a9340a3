import { FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Context, Effect, Layer } from "effect"

/** A folder that goes with its scope. */
export const folder = Effect.provide(
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "effect-cqrs-" })),
  NodeFileSystem.layer
)

export class Filename extends Context.Tag("test/Filename")<Filename, string>() {}

/** The name of a database file that does not exist yet. */
export const layerFilename = Layer.scoped(Filename, Effect.map(folder, (path) => `${path}/test.db`))

/** A client on the file, each time another. */
export const client = (options: Partial<SqliteClient.SqliteClientConfig> = {}) =>
  Layer.unwrapEffect(Effect.map(Filename, (filename) => Layer.fresh(SqliteClient.layer({ filename, ...options }))))

/** A client on a file of its own. */
export const layerFile = Layer.provideMerge(client(), layerFilename)

export const layerInMemory = SqliteClient.layer({ filename: ":memory:" })

/** Another connection to the file, as another process would have it. */
export class Other extends Context.Tag("test/Other")<Other, SqlClient.SqlClient>() {}

export const layerOther = Layer.provide(Layer.effect(Other, SqlClient.SqlClient), client())

/** In a `sql.withTransaction` the statements of another client would run in it: here they do not. */
export const outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) =>
      Context.omit(SqlClient.TransactionConnection as Context.Tag<any, any>)(context) as Context.Context<R>
  )
