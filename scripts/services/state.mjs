// What `up` started and `down` has to stop, and the lock under which either happens.
import * as fs from "node:fs"
import * as path from "node:path"
import { cache, say, sleep } from "./shell.mjs"

/**
 * @typedef {object} Started
 * @property {string} service
 * @property {"docker" | "package" | "jars"} by
 * @property {string} url
 * @property {string} [version] where it is known better than the protocol tells it
 * @property {number} [pid] of Kafka's process
 * @property {string} [home] of Kafka's process: configuration, data and log
 */

const file = path.join(cache, "services.json")
const lock = path.join(cache, "services.lock")

/** @returns {ReadonlyArray<Started>} */
export const started = () => fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : []

/** @param {ReadonlyArray<Started>} records */
const save = (records) => {
  if (records.length === 0) return fs.rmSync(file, { force: true })
  fs.mkdirSync(cache, { recursive: true })
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(records, undefined, 2)}\n`)
  fs.renameSync(`${file}.new`, file)
}

/** @param {Started} record */
export const remember = (record) => save([...started().filter(({ url }) => url !== record.url), record])

/** @param {Started} record */
export const forget = (record) => save(started().filter(({ url }) => url !== record.url))

export const isAlive = (pid) => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === "EPERM"
  }
}

const holder = () => {
  try {
    return Number(fs.readFileSync(lock, "utf8")) || undefined
  } catch {
    return undefined
  }
}

/**
 * One `up` or `down` at a time in one cache folder; the lock of a process that died is taken over.
 *
 * @template A
 * @param {() => Promise<A>} work
 */
export const exclusively = async (work) => {
  fs.mkdirSync(cache, { recursive: true })
  for (let told = false;;) {
    try {
      fs.writeFileSync(lock, `${process.pid}`, { flag: "wx" })
      break
    } catch (error) {
      if (error.code !== "EEXIST") throw error
    }
    const pid = holder()
    if (pid !== undefined && !isAlive(pid)) {
      fs.rmSync(lock, { force: true })
    } else {
      if (!told) say(`Another call is at work on the services (process ${pid}): waiting for it.`)
      told = true
      await sleep(300)
    }
  }
  try {
    return await work()
  } finally {
    fs.rmSync(lock, { force: true })
  }
}
