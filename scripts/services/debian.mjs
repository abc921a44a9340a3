// The servers as packages of Debian and Ubuntu: only ever used with --install.
import * as path from "node:path"
import { ask, cache, isRoot, run } from "./shell.mjs"

const mariadb = (statement) => ["mariadb", "--execute", statement]
const postgres = (statement) => ["runuser", "--user", "postgres", "--", "psql", "--no-psqlrc", "--command", statement]

/**
 * `account` makes the user and the database of the second local endpoint of catalog.mjs: a server fresh from its
 * package lets its administrator in through a socket only, which is not where an application comes from.
 */
const recipes = {
  mariadb: {
    name: "mariadb-server",
    unit: "mariadb",
    account: [
      mariadb("CREATE DATABASE IF NOT EXISTS effect_cqrs_test"),
      mariadb("CREATE USER IF NOT EXISTS effect_cqrs@'127.0.0.1' IDENTIFIED BY 'effect_cqrs'"),
      mariadb("CREATE USER IF NOT EXISTS effect_cqrs@localhost IDENTIFIED BY 'effect_cqrs'"),
      mariadb("GRANT ALL ON `effect\\_cqrs\\_test%`.* TO effect_cqrs@'127.0.0.1', effect_cqrs@localhost")
    ]
  },
  postgres: {
    name: "postgresql",
    unit: "postgresql",
    account: [
      postgres("CREATE ROLE effect_cqrs LOGIN CREATEDB PASSWORD 'effect_cqrs'"),
      postgres("CREATE DATABASE effect_cqrs_test OWNER effect_cqrs")
    ]
  },
  rabbitmq: { name: "rabbitmq-server", unit: "rabbitmq-server" }
}

/** Why packages cannot be had, or undefined where they can. */
export const whyNot = () => {
  if (ask("apt-get", "--version") === undefined) return "--install knows the packages of Debian and Ubuntu only"
  if (!isRoot) return "--install needs root"
  return undefined
}

const log = path.join(cache, "packages.log")

const isInstalled = (name) => /^install ok installed/.test(ask("dpkg-query", "-W", "-f", "${Status}", name) ?? "")

let isUpToDate = false

/** @param {ReadonlyArray<string>} names of packages */
export const install = async (names) => {
  const missing = names.filter((name) => !isInstalled(name))
  if (missing.length === 0) return
  const options = { env: { DEBIAN_FRONTEND: "noninteractive" }, log }
  if (!isUpToDate) await run("Reading the lists of packages", ["apt-get", "update"], options)
  isUpToDate = true
  const command = ["apt-get", "install", "--yes", "--no-install-recommends", ...missing]
  await run(`Installing ${missing.join(", ")}`, command, options)
}

/** @param {string} service */
export const packageOf = (service) => recipes[service].name

// `service` asks systemd where it runs, and the init script where it does not, as in a container.
const control = (service, verb, doing) => run(`${doing} ${service}`, ["service", recipes[service].unit, verb], { log })

/** @param {string} service */
export const start = (service) => control(service, "start", "Starting")

/** @param {string} service */
export const stop = (service) => control(service, "stop", "Stopping")

/** @param {string} service */
export const hasAccount = (service) => recipes[service]?.account !== undefined

/** @param {string} service */
export const createAccount = async (service) => {
  for (const command of recipes[service].account) await run(`Preparing an account on ${service}`, command, { log })
}
