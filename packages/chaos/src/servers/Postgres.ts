/** A PostgreSQL of the run's own. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import path from "node:path"
import { SettingError } from "../Setting.ts"
import * as Database from "./Database.ts"
import * as Local from "./Local.ts"

const name = "PostgreSQL"

/** Debian's package keeps its programs here, by version. */
const debian = "/usr/lib/postgresql"

const folders = () => [
  ...(fs.existsSync(debian) ? fs.readdirSync(debian).sort().reverse().map((one) => path.join(debian, one, "bin")) : []),
  "/opt/homebrew/bin"
]

/** It refuses to run as root: then it is the user of its package. */
const account = Effect.try({
  try: () => {
    if (process.getuid?.() !== 0) return {}
    const ask = (what: string) =>
      Number(execFileSync("id", [what, "postgres"], { stdio: ["ignore", "pipe", "ignore"] }))
    return { uid: ask("-u"), gid: ask("-g") }
  },
  catch: () => new SettingError({ message: "PostgreSQL does not run as root, and there is no user postgres" })
})

export const postgres = Effect.gen(function*() {
  const program = yield* Local.find(name, ["postgres"], folders())
  const initdb = yield* Local.find(name, ["initdb"], folders())
  const user = yield* account
  const folder = yield* Local.folder("postgres")
  const port = yield* Local.freePort
  const data = path.join(folder, "data")
  if (user.uid !== undefined) fs.chownSync(folder, user.uid, user.gid)
  const as = { ...user, cwd: folder, env: { PATH: process.env.PATH, HOME: folder, LANG: "C.UTF-8" } }
  yield* Local.run(initdb, ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], as)
  const settings = {
    port,
    listen_addresses: Local.host,
    unix_socket_directories: folder,
    max_connections: 100,
    deadlock_timeout: "50ms"
  }
  const daemon = yield* Local.daemon(
    program,
    ["-D", data, ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`])],
    { ...as, log: path.join(folder, "log"), ending: "SIGINT" }
  )
  const urlAt = (at: number, database = Database.name) => `postgres://postgres@${Local.host}:${at}/${database}`
  return yield* Database.make({
    name,
    port,
    urlAt,
    daemon,
    client: PgClient.layer({ url: Redacted.make(urlAt(port, "postgres")), maxConnections: 1 }),
    prepare: (sql) =>
      Effect.flatMap(
        sql`select 1 from pg_database where datname = ${Database.name}`,
        (found) => found.length > 0 ? Effect.void : sql.unsafe(`create database ${Database.name}`)
      ),
    // killed alone, its first process would leave the others behind: this ends them all without a checkpoint
    signals: { stopped: "SIGINT", killed: "SIGQUIT" }
  })
})
