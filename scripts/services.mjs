// Finds or starts the real servers of the integration tests. Node built-ins only: it runs before any install.
import { parseArgs } from "node:util"
import { addressOf, askedPort, locate, services } from "./services/catalog.mjs"
import * as debian from "./services/debian.mjs"
import * as docker from "./services/docker.mjs"
import * as kafka from "./services/kafka.mjs"
import { say } from "./services/shell.mjs"
import { exclusively, forget, remember, started } from "./services/state.mjs"
import * as tools from "./services/tools.mjs"

const kafkaDefault = "3.9.2"

const help = `Usage: npm run services -- <command> [names…] [options]

Commands
  status   each server's version and address and how it was found, or why it is missing (--json)
  up       find each server or start it; what already answers is used as it is (--json)
  down     stop what \`up\` started, and nothing else (--clean: and remove Kafka's data)
  env      \`export\` lines with the endpoints of the servers that answer, and with where the tools are (--json: an
           object)
  tools    where the programs are with which tests read and write on a broker, and try alert rules: kcat, amqp-tools,
           Kafka's console tools, promtool; --install brings those that are missing, as it brings servers

Names: mariadb, postgres, rabbitmq, kafka (by default all four), and mysql, which is used only where its variable is set.

A server is looked for in the environment, or else on this machine:
  EFFECT_CQRS_MARIADB_URL      mysql://root@127.0.0.1:3306/test          port: EFFECT_CQRS_MARIADB_PORT
  EFFECT_CQRS_POSTGRES_URL     postgres://postgres@127.0.0.1:5432/test   port: EFFECT_CQRS_POSTGRES_PORT
  EFFECT_CQRS_RABBITMQ_URL     amqp://guest:guest@127.0.0.1:5672         port: EFFECT_CQRS_RABBITMQ_PORT
  EFFECT_CQRS_KAFKA_BROKERS    127.0.0.1:9092                            port: EFFECT_CQRS_KAFKA_PORT
  EFFECT_CQRS_MYSQL_URL
The two databases on this machine are also tried with user effect_cqrs, password effect_cqrs, database effect_cqrs_test.

Where neither has it, \`up\` starts it with the first of these that is to be had:
  1. Docker Compose, where an engine answers.
  2. With --install, as root on Debian or Ubuntu: the packages of the system, on their usual ports. Only then is
     a package installed, a stopped server of the system started, or the account effect_cqrs made on a database that
     lets in nobody over TCP.
  3. For Kafka: one node from its jars, where Java (11; 17 for Kafka 4) and Maven are. --install installs those, too.

Options
  --install                  see 2 and 3
  --kafka-version <version>  the Kafka to start (${kafkaDefault} by default), and the release that one found must have;
                             or EFFECT_CQRS_KAFKA_VERSION
  --quiet                    nothing on standard output

EFFECT_CQRS_CACHE is the folder of downloads, data and state (.cache by default). EFFECT_CQRS_KAFKA_CONTROLLER_PORT is
the second port of Kafka's node (the first plus one by default), EFFECT_CQRS_KAFKA_PROPERTIES a file with more properties
of a node that is started from its jars.

Exit codes: 0 done; 1 a server could not be brought up, or not stopped; 2 wrong usage. status and env end with 0 whatever
is missing.
`

const hint = (name) =>
  name === "kafka"
    ? "`npm run services -- up kafka` starts one with Docker, or with Java and Maven"
    : `\`npm run services -- up ${name}\` starts one with Docker, with --install from Debian's packages`

const advice = ({ name, reason, refused, taken, tried }) => {
  const { port, variable } = services[name]
  if (port === undefined) return reason
  if (process.env[variable]) return `${reason}. Correct ${variable} or unset it.`
  if (refused) {
    const account = debian.hasAccount(name) ? ", or let `up --install` make one (as root on Debian or Ubuntu)" : ""
    return `${reason}. Set ${variable} with a user it lets in${account}.`
  }
  const another = `set ${variable} to the endpoint of another`
  if (tried) return `${reason}. Else ${another}.`
  if (!taken) return `${reason}. ${hint(name)}, or ${another}.`
  return `${reason}. Stop it, ${another}, or EFFECT_CQRS_${name.toUpperCase()}_PORT to a free port.`
}

const table = (results) => {
  const rows = results.map((result) =>
    result.found
      ? [result.name, result.version, addressOf(result.url), result.how]
      : [result.name, "missing", advice(result)]
  )
  const width = (column) => Math.max(...rows.filter((row) => row.length > 3).map((row) => row[column].length), 7)
  const widths = [10, width(1), width(2)]
  return rows.map((row) => row.map((text, i) => i < row.length - 1 ? text.padEnd(widths[i]) : text).join("  ")).join(
    "\n"
  )
}

const report = (results) =>
  results.map((result) => {
    const { name } = result
    const { variable } = services[name]
    return result.found
      ? { name, found: true, version: result.version, address: addressOf(result.url), how: result.how, variable }
      : { name, found: false, reason: advice(result), variable }
  })

const endpoints = (results) =>
  Object.fromEntries(results.filter(({ found }) => found).map(({ name, url }) => [services[name].variable, url]))

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`

const up = async (names, { install, kafkaVersion }) => {
  const look = (name) => locate(name, { kafkaVersion })
  const state = new Map((await Promise.all(names.map(look))).map((result) => [result.name, result]))
  const startable = () => [...state.values()].filter(({ found, taken }) => !found && !taken).map(({ name }) => name)
  const fail = (name, why) =>
    state.set(name, { ...state.get(name), reason: `${state.get(name).reason}; ${why}`, tried: true })
  const local = (name) => services[name].local(services[name].port)[0]
  /** Runs one means for these servers, and looks again at each. */
  const attempt = async (means, ...group) => {
    const failure = await means().then(() => undefined, (error) => error.message)
    for (const name of group) {
      const result = await look(name)
      if (result.found || failure === undefined) state.set(name, result)
      else fail(name, failure)
    }
  }

  const missing = startable()
  const noDocker = missing.length === 0 ? undefined : docker.whyNot()
  if (missing.length > 0 && noDocker === undefined) {
    for (const name of missing) remember({ service: name, by: "docker", url: local(name) })
    await attempt(() => docker.up(missing, kafkaVersion ?? kafkaDefault), ...missing)
  } else for (const name of missing) fail(name, noDocker)

  const noPackages = install ? debian.whyNot() : "packages of the system are for --install"
  for (const name of startable().filter((name) => name !== "kafka")) {
    if (noPackages !== undefined) fail(name, noPackages)
    else if (askedPort(name)) fail(name, "a package's server has the port of its own configuration")
    else {
      await attempt(async () => {
        await debian.install([debian.packageOf(name)])
        await debian.start(name)
        remember({ service: name, by: "package", url: local(name) })
      }, name)
    }
  }
  for (const { name, refused } of [...state.values()]) {
    if (refused && debian.hasAccount(name) && noPackages === undefined && !askedPort(name)) {
      await attempt(() => debian.createAccount(name), name)
    }
  }
  if (startable().includes("kafka")) {
    const version = kafkaVersion ?? kafkaDefault
    await attempt(async () => {
      if (install && noPackages === undefined && kafka.whyNot(version) !== undefined) {
        await debian.install(["default-jre-headless", "maven"])
      }
      const lacking = kafka.whyNot(version)
      if (lacking !== undefined) throw new Error(lacking)
      await kafka.up(version, services.kafka.port)
    }, "kafka")
  }
  return [...state.values()]
}

const down = async (names, { clean }) => {
  const records = started().filter(({ service }) => names.includes(service))
  const failures = []
  const stop = async (stopping, ...group) => {
    try {
      await stopping()
      for (const record of group) forget(record)
    } catch (error) {
      failures.push(error.message)
    }
  }
  const contained = records.filter(({ by }) => by === "docker")
  if (contained.length > 0) await stop(() => docker.down(contained.map(({ service }) => service)), ...contained)
  for (const record of records) {
    if (record.by === "package") await stop(() => debian.stop(record.service), record)
    if (record.by === "jars") await stop(() => kafka.down(record), record)
  }
  if (clean && names.includes("kafka")) kafka.clean()
  return failures
}

class Usage extends Error {}

const read = () => {
  try {
    const { positionals: [command, ...names], values } = parseArgs({
      allowPositionals: true,
      options: {
        clean: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        install: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        "kafka-version": { type: "string" },
        quiet: { type: "boolean", default: false }
      }
    })
    for (const name of names) {
      if (!(name in services)) throw new Error(`There is no service "${name}": ${Object.keys(services).join(", ")}.`)
    }
    const kafkaVersion = values["kafka-version"] ?? (process.env.EFFECT_CQRS_KAFKA_VERSION || undefined)
    if (kafkaVersion !== undefined && !/^\d+\.\d+\.\d+$/.test(kafkaVersion)) {
      throw new Error(`"${kafkaVersion}" is no version of Kafka such as ${kafkaDefault}.`)
    }
    const usual = Object.keys(services).filter((name) => services[name].port ?? process.env[services[name].variable])
    return { ...values, command, names: names.length > 0 ? [...new Set(names)] : usual, kafkaVersion }
  } catch (error) {
    throw new Usage(error.message)
  }
}

const main = async () => {
  const { command, names, ...options } = read()
  const print = (text) => options.quiet || console.log(text)
  const lookAtAll = () => Promise.all(names.map((name) => locate(name, options)))
  switch (options.help ? "help" : command) {
    case "help":
      print(help.trimEnd())
      return 0
    case "status": {
      const results = await lookAtAll()
      print(options.json ? JSON.stringify(report(results), undefined, 2) : table(results))
      return 0
    }
    case "env": {
      const there = tools.locate(options.kafkaVersion ?? kafkaDefault).filter(({ where }) => where !== undefined)
      const found = {
        ...endpoints(await lookAtAll()),
        ...Object.fromEntries(there.map(({ variable, where }) => [variable, where]))
      }
      const lines = Object.entries(found).map(([variable, url]) => `export ${variable}=${quoted(url)}`)
      if (options.json) print(JSON.stringify(found))
      else if (lines.length > 0) print(lines.join("\n"))
      return 0
    }
    case "up": {
      const results = await exclusively(() => up(names, options))
      print(options.json ? JSON.stringify(report(results), undefined, 2) : table(results))
      return results.every(({ found, name }) => found || services[name].port === undefined) ? 0 : 1
    }
    case "tools": {
      const version = options.kafkaVersion ?? kafkaDefault
      const failures = options.install ? await exclusively(() => tools.install(version)) : []
      const found = tools.locate(version)
      if (options.json) print(JSON.stringify(found.map(({ name, where }) => ({ name, found: where !== undefined }))))
      else print(found.map(({ title, where }) => `${title.padEnd(22)} ${where ?? "missing"}`).join("\n"))
      for (const failure of failures) say(failure)
      return failures.length === 0 ? 0 : 1
    }
    case "down": {
      const failures = await exclusively(() => down(names, options))
      for (const failure of failures) say(failure)
      return failures.length === 0 ? 0 : 1
    }
    default:
      throw new Usage(command === undefined ? "Which command?" : `There is no command "${command}".`)
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof Usage)) throw error
  say(`${error.message} \`npm run services -- --help\` tells more.`)
  process.exitCode = 2
}
