import { SqlClient } from "@effect/sql"
import { describe } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { plainSqlTests } from "./plainSql.ts"
import { onEachServer, postgres } from "./servers.ts"

const column = "table_name as relation, column_name as name, data_type as type, is_nullable, column_default"

/** The command line's arguments for the database of the client. */
const argumentsOf = (isPostgres: boolean, url: Redacted.Redacted) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql.unsafe<{ name: string }>(`select ${isPostgres ? "current_database()" : "database()"} as name`),
      ([database]) => {
        const at = new URL(Redacted.value(url))
        at.pathname = `/${database!.name}`
        return isPostgres
          ? ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", `--dbname=${at.href}`]
          : [
            `--host=${at.hostname}`,
            `--port=${at.port || "3306"}`,
            `--user=${decodeURIComponent(at.username)}`,
            ...(at.password === "" ? [] : [`--password=${decodeURIComponent(at.password)}`]),
            database!.name
          ]
      }
    ))

onEachServer((server, url) => {
  const isPostgres = server === postgres
  describe("the migrations as plain SQL", () => {
    plainSqlTests({
      dialect: isPostgres ? "postgres" : "mysql",
      layer: () => server.layerNew(url),
      catalogue: Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql.unsafe(
          `select ${column} from information_schema.columns ` +
            `where table_schema = ${
              isPostgres ? "current_schema()" : "database()"
            } order by table_name, ordinal_position`
        )),
      commandLine: {
        program: isPostgres ? "psql" : server.name === "MariaDB" ? "mariadb" : "mysql",
        arguments: argumentsOf(isPostgres, url)
      }
    })
  })
})
