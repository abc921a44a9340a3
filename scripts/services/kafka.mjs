// A single KRaft node of Apache Kafka from its jars, where neither an endpoint nor Docker gives one.
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { probeKafka } from "./probe/kafka.mjs"
import { ask, cache, run, say, sleep, tail } from "./shell.mjs"
import { forget, isAlive, remember } from "./state.mjs"

const binary = (name) => process.env.JAVA_HOME ? path.join(process.env.JAVA_HOME, "bin", name) : name

const javaVersion = () => {
  const [, first, second] = /version "(\d+)(?:\.(\d+))?/.exec(ask(binary("java"), "-version") ?? "") ?? []
  return Number(first === "1" ? second : first)
}

/** What is missing to fetch and run this version, or undefined. */
export const whyNot = (version) => {
  const least = Number(version.split(".")[0]) >= 4 ? 17 : 11
  const java = javaVersion()
  if (Number.isNaN(java)) return `Kafka's jars need Java ${least} or later, and no java is on the path`
  if (java < least) {
    return `Kafka ${version} needs Java ${least} or later, and java is version ${java} (JAVA_HOME chooses)`
  }
  if (ask("mvn", "-version") === undefined && !fs.existsSync(jars(version))) {
    return "Kafka's jars are fetched with Maven, and no mvn is on the path"
  }
  return undefined
}

const jars = (version) => path.join(cache, "kafka", version, "jars")

/** What runs the classes of a folder of {@link fetchJars}. */
const javaOf = (folder) => [binary("java"), "-cp", path.join(folder, "*")]

// slf4j-simple writes warnings to standard error, which is the node's log file; both lines of Kafka use slf4j 1.7.
const pom = (artifact, version) =>
  `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>effect-cqrs</groupId><artifactId>jars</artifactId><version>1</version>
  <dependencies>
    ${dependency("org.apache.kafka", artifact, version)}
    ${dependency("org.slf4j", "slf4j-simple", "1.7.36")}
  </dependencies>
</project>
`

const dependency = (group, artifact, version) =>
  `<dependency>
      <groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version>
    </dependency>`

/**
 * Fetches an artifact of Kafka's with all it needs into a folder of jars, unless it is there.
 *
 * @param {string} artifact
 * @param {string} version
 * @param {string} target the folder
 */
export const fetchJars = async (artifact, version, target) => {
  if (fs.existsSync(target)) return
  const folder = path.dirname(target)
  const partial = `${target}.part`
  const file = `${target}.pom.xml`
  const count = () => fs.existsSync(partial) ? `, ${fs.readdirSync(partial).length} files` : ""
  fs.rmSync(partial, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(file, pom(artifact, version))
  // Without --update-snapshots Maven remembers for a day that something could not be fetched.
  await run(`Fetching ${artifact} ${version} of Apache Kafka with Maven`, [
    "mvn",
    "--batch-mode",
    "--update-snapshots",
    "--file",
    file,
    "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
    "-DincludeScope=runtime",
    `-DoutputDirectory=${partial}`
  ], { log: `${target}.fetch.log`, progress: count })
  fs.renameSync(partial, target)
}

const properties = ({ controller, data, port }) =>
  Object.entries({
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": `1@127.0.0.1:${controller}`,
    "controller.listener.names": "CONTROLLER",
    "listeners": `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${port}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": data,
    "offsets.topic.num.partitions": 5,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 5,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0
  }).map(([key, value]) => `${key}=${value}\n`).join("")

const isFree = (port) =>
  new Promise((resolve) => {
    const server = net.createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

/**
 * Fetches what is missing, starts the node, and waits until it serves metadata.
 *
 * @param {string} version
 * @param {number} port
 */
export const up = async (version, port) => {
  const controller = Number(process.env.EFFECT_CQRS_KAFKA_CONTROLLER_PORT || port + 1)
  if (!await isFree(controller)) {
    throw new Error(`port ${controller} is taken: set EFFECT_CQRS_KAFKA_CONTROLLER_PORT to a free one`)
  }
  await fetchJars("kafka_2.13", version, jars(version))

  const home = path.join(cache, "kafka", version, `node-${port}`)
  const data = path.join(home, "data")
  const config = path.join(home, "server.properties")
  const log = path.join(home, "server.log")
  fs.mkdirSync(home, { recursive: true })
  // of two lines for a property, the later one holds
  const more = process.env.EFFECT_CQRS_KAFKA_PROPERTIES
  fs.writeFileSync(config, properties({ controller, data, port }) + (more ? fs.readFileSync(more, "utf8") : ""))
  const java = [
    ...javaOf(jars(version)),
    "-Xmx512m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true"
  ]
  if (!fs.existsSync(path.join(data, "meta.properties"))) {
    // 16 bytes in base64url, as Uuid.fromString reads them; a leading dash would look like an option.
    const id = `k${randomBytes(16).toString("base64url").slice(1)}`
    await run("Formatting Kafka's storage", [...java, "kafka.tools.StorageTool", "format", "-t", id, "-c", config], {
      log: path.join(home, "format.log")
    })
  }

  say(`Starting Apache Kafka ${version} on 127.0.0.1:${port} …`)
  const out = fs.openSync(log, "w")
  const [command, ...args] = [...java, "kafka.Kafka", config]
  const child = spawn(command, args, { cwd: home, detached: true, stdio: ["ignore", out, out] })
  fs.closeSync(out)
  let ended = false
  child.once("error", () => ended = true)
  child.once("exit", () => ended = true)
  child.unref()
  const url = `127.0.0.1:${port}`
  const record = { service: "kafka", by: "jars", url, version, pid: child.pid, home }
  remember(record)
  for (const deadline = Date.now() + 90_000; Date.now() < deadline; await sleep(300)) {
    if (ended) break
    const ready = await probeKafka(url, { ready: true }).catch(() => undefined)
    if (ready !== undefined) return
  }
  await down(record)
  forget(record)
  say(tail(log))
  throw new Error(`Kafka ${ended ? "ended while it started" : "does not serve metadata after 90 s"}: see ${log}`)
}

// A process id is used again one day: the command line tells whether it is still the node's.
const isNode = ({ home, pid }) => {
  if (pid === undefined || !isAlive(pid)) return false
  const file = `/proc/${pid}/cmdline`
  const line = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : ask("ps", "-o", "command=", "-p", `${pid}`)
  return (line ?? "").includes(home)
}

/** @param {import("./state.mjs").Started} record */
export const down = async (record) => {
  if (!isNode(record)) return
  say(`Stopping Kafka on ${record.url} …`)
  process.kill(record.pid, "SIGTERM")
  for (const deadline = Date.now() + 30_000; isNode(record); await sleep(100)) {
    if (Date.now() > deadline) process.kill(record.pid, "SIGKILL")
  }
}

/** Removes what stopped nodes have stored, and leaves the jars. */
export const clean = () => {
  const folder = path.join(cache, "kafka")
  for (const version of fs.existsSync(folder) ? fs.readdirSync(folder) : []) {
    for (const entry of fs.readdirSync(path.join(folder, version))) {
      if (entry.startsWith("node-")) fs.rmSync(path.join(folder, version, entry), { recursive: true, force: true })
    }
  }
}
