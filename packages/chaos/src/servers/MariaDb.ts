/** A MariaDB of the run's own. */
import { MysqlClient } from "@effect/sql-mysql2"
import { Effect, Redacted } from "effect"
import path from "node:path"
import * as Database from "./Database.ts"
import * as Local from "./Local.ts"

const name = "MariaDB"
const folders = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"]

export const mariadb = Effect.gen(function*() {
  const program = yield* Local.find(name, ["mariadbd", "mysqld"], folders)
  const install = yield* Local.find(name, ["mariadb-install-db", "mysql_install_db"], folders)
  const folder = yield* Local.folder("mariadb")
  const port = yield* Local.freePort
  const data = path.join(folder, "data")
  // a server that runs as root asks to be told so
  const user = process.getuid?.() === 0 ? ["--user=root"] : []
  yield* Local.run(install, [
    "--no-defaults",
    `--datadir=${data}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    ...user
  ])
  const daemon = yield* Local.daemon(program, [
    "--no-defaults",
    `--datadir=${data}`,
    `--port=${port}`,
    `--bind-address=${Local.host}`,
    `--socket=${path.join(folder, "socket")}`,
    `--pid-file=${path.join(folder, "pid")}`,
    "--character-set-server=utf8mb4",
    "--innodb-lock-wait-timeout=10",
    ...user
  ], { log: path.join(folder, "log"), ending: "SIGTERM" })
  const urlAt = (at: number, database = Database.name) => `mysql://root@${Local.host}:${at}/${database}`
  return yield* Database.make({
    name,
    port,
    urlAt,
    daemon,
    client: MysqlClient.layer({ url: Redacted.make(urlAt(port, "mysql")), maxConnections: 1 }),
    prepare: (sql) => sql.unsafe(`create database if not exists ${Database.name}`),
    signals: { stopped: "SIGTERM", killed: "SIGKILL" }
  })
})
