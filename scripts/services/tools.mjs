// Programs that others wrote, with which tests read and write what this project does on a broker, and try its alert rules.
import * as fs from "node:fs"
import * as path from "node:path"
import * as debian from "./debian.mjs"
import * as kafka from "./kafka.mjs"
import { ask, cache } from "./shell.mjs"

const onPath = (name) => ask("which", name)

/** @param {string} kafkaVersion */
const consoleJars = (kafkaVersion) => path.join(cache, "kafka", kafkaVersion, "tools")

/**
 * `find` answers the value of the variable, or undefined; `install` brings what is missing.
 *
 * @type {Record<string, { title: string, variable: string, find: (kafkaVersion: string) => string | undefined, install: (kafkaVersion: string) => Promise<void> }>}
 */
const tools = {
  kcat: {
    title: "kcat",
    variable: "EFFECT_CQRS_KCAT",
    find: () => onPath("kcat"),
    install: () => debian.install(["kcat"])
  },
  "amqp-tools": {
    title: "amqp-tools",
    variable: "EFFECT_CQRS_AMQP_TOOLS",
    find: () => {
      const get = onPath("amqp-get")
      return get === undefined ? undefined : path.dirname(get)
    },
    install: () => debian.install(["amqp-tools"])
  },
  promtool: {
    title: "promtool",
    variable: "EFFECT_CQRS_PROMTOOL",
    find: () => onPath("promtool"),
    install: () => debian.install(["prometheus"])
  },
  "kafka-tools": {
    title: "Kafka's console tools",
    variable: "EFFECT_CQRS_KAFKA_TOOLS",
    find: (kafkaVersion) => fs.existsSync(consoleJars(kafkaVersion)) ? consoleJars(kafkaVersion) : undefined,
    install: async (kafkaVersion) => {
      if (kafka.whyNot(kafkaVersion) !== undefined) await debian.install(["default-jre-headless", "maven"])
      await kafka.fetchJars("kafka-tools", kafkaVersion, consoleJars(kafkaVersion))
    }
  }
}

/** Where each is: from the environment, or else on this machine. */
export const locate = (kafkaVersion) =>
  Object.entries(tools).map(([name, { find, title, variable }]) => ({
    name,
    title,
    variable,
    where: process.env[variable] || find(kafkaVersion)
  }))

/**
 * Installs those that are missing. Answers what went wrong, as sentences.
 *
 * @param {string} kafkaVersion
 */
export const install = async (kafkaVersion) => {
  const failures = []
  for (const { name, title, where } of locate(kafkaVersion)) {
    if (where !== undefined) continue
    const why = name === "kafka-tools" && kafka.whyNot(kafkaVersion) === undefined ? undefined : debian.whyNot()
    const failure = why ?? await tools[name].install(kafkaVersion).then(() => undefined, (error) => error.message)
    if (failure !== undefined) failures.push(`${title} is missing: ${failure}`)
  }
  return failures
}
