// The servers this project is tested against, and where one of them may be found.
import { probeKafka } from "./probe/kafka.mjs"
import { probeMysql } from "./probe/mysql.mjs"
import { probePostgres } from "./probe/postgres.mjs"
import { probeRabbitmq } from "./probe/rabbitmq.mjs"
import { ProbeError } from "./probe/wire.mjs"
import { started } from "./state.mjs"

const portOf = (name, usual) => Number(process.env[`EFFECT_CQRS_${name}_PORT`] || usual)

/**
 * @typedef {object} Service
 * @property {string} title
 * @property {string} variable the environment variable that names an endpoint
 * @property {number} [port] of a local server
 * @property {(port: number) => ReadonlyArray<string>} local endpoints to try there, in this order
 * @property {(url: string) => Promise<{ product: string, version: string | undefined }>} probe
 * @property {string} minimum version
 *
 * @typedef {object} Found
 * @property {string} name
 * @property {true} found
 * @property {string} url
 * @property {string} version
 * @property {"environment" | "local" | "docker" | "started"} how
 *
 * @typedef {object} Missing
 * @property {string} name
 * @property {false} found
 * @property {string} reason
 * @property {boolean} taken something is there, so nothing can be started in its place
 * @property {boolean} [refused] it is the right server, and lets nobody in
 */

/** @type {Record<string, Service>} */
export const services = {
  mariadb: {
    title: "MariaDB",
    variable: "EFFECT_CQRS_MARIADB_URL",
    port: portOf("MARIADB", 3306),
    local: (port) => [
      `mysql://root@127.0.0.1:${port}/test`,
      `mysql://effect_cqrs:effect_cqrs@127.0.0.1:${port}/effect_cqrs_test`
    ],
    probe: probeMysql,
    minimum: "10.6"
  },
  mysql: {
    title: "MySQL",
    variable: "EFFECT_CQRS_MYSQL_URL",
    local: () => [],
    probe: probeMysql,
    minimum: "8.0.22"
  },
  postgres: {
    title: "PostgreSQL",
    variable: "EFFECT_CQRS_POSTGRES_URL",
    port: portOf("POSTGRES", 5432),
    local: (port) => [
      `postgres://postgres@127.0.0.1:${port}/test`,
      `postgres://effect_cqrs:effect_cqrs@127.0.0.1:${port}/effect_cqrs_test`
    ],
    probe: probePostgres,
    minimum: "13"
  },
  rabbitmq: {
    title: "RabbitMQ",
    variable: "EFFECT_CQRS_RABBITMQ_URL",
    port: portOf("RABBITMQ", 5672),
    local: (port) => [`amqp://guest:guest@127.0.0.1:${port}`],
    probe: probeRabbitmq,
    minimum: "3.10"
  },
  kafka: {
    title: "Kafka",
    variable: "EFFECT_CQRS_KAFKA_BROKERS",
    port: portOf("KAFKA", 9092),
    local: (port) => [`127.0.0.1:${port}`],
    probe: probeKafka,
    minimum: "3.5"
  }
}

/** What can be shown of an endpoint: the address without user and password. */
export const addressOf = (url) => url.replace(/^\w+:\/\/(?:[^@/]*@)?/, "")

/** The address without the database, which is what a server has one of. */
const serverOf = (url) => addressOf(url).split("/")[0]

/** A port that was asked for, as opposed to the usual one. */
export const askedPort = (name) => process.env[`EFFECT_CQRS_${name.toUpperCase()}_PORT`]

const isOlder = (version, minimum) => {
  const [a, b] = [version, minimum].map((text) => text.split(/[^\d]+/).map(Number))
  const at = b.findIndex((part, i) => (a[i] ?? 0) !== part)
  return at >= 0 && (a[at] ?? 0) < b[at]
}

const release = (version) => /^\d+\.\d+/.exec(version)?.[0]

/** Says what answers at an endpoint, or throws a sentence. */
const inspect = async ({ minimum, probe, title }, url) => {
  const { product, version = "of unknown version" } = await probe(url)
  const seen = `${product} ${version} on ${addressOf(url)}`
  if (product !== title) throw new ProbeError(`${seen} is not ${title}`)
  if (/^\d/.test(version) && isOlder(version, minimum)) {
    throw new ProbeError(`${seen} is too old: ${minimum} or later is needed`)
  }
  return version
}

/**
 * Looks at the endpoint of the environment, or else at what this project started, or else at the local port.
 *
 * @param {string} name
 * @param {{ kafkaVersion?: string | undefined }} [options]
 * @returns {Promise<Found | Missing>}
 */
export const locate = async (name, { kafkaVersion } = {}) => {
  const service = services[name]
  const given = process.env[service.variable]
  if (given) {
    try {
      return { name, found: true, url: given, version: await inspect(service, given), how: "environment" }
    } catch (error) {
      const reason = `${service.variable} names an endpoint that cannot be used: ${error.message}`
      return { name, found: false, reason, taken: true }
    }
  }
  if (service.port === undefined) {
    return { name, found: false, reason: `it is optional: ${service.variable} is not set`, taken: true }
  }
  // A port that was asked for is the only one looked at, so that two Kafkas can stand side by side.
  const asked = askedPort(name)
  const own = started().filter(({ service, url }) =>
    service === name && (!asked || serverOf(url).endsWith(`:${asked}`))
  )
  const urls = new Set([...own.map(({ url }) => url), ...service.local(service.port)])
  let [reason, taken, refused] = ["", false, false]
  for (const url of urls) {
    try {
      const version = await inspect(service, url)
      if (name === "kafka" && kafkaVersion !== undefined && release(version) !== release(kafkaVersion)) {
        throw new ProbeError(`Kafka ${version} on ${addressOf(url)} is not the ${kafkaVersion} asked for`)
      }
      const record = own.find((record) => serverOf(record.url) === serverOf(url))
      const how = record === undefined ? "local" : record.by === "docker" ? "docker" : "started"
      return { name, found: true, url, version: record?.version ?? version, how }
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error
      // The first thing that answered says more than the last one that did not.
      if (!taken) reason = error.message
      taken ||= error.heard
      refused ||= error.refused
    }
  }
  return { name, found: false, reason, refused, taken }
}
