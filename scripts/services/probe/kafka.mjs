// Kafka's protocol carries no release number. A KRaft broker tells the metadata.version it supports, which names the
// release (org.apache.kafka.server.common.MetadataVersion); of another broker the newest Fetch gives a lower bound.
import { converse, int, ProbeError } from "./wire.mjs"

/** @type {ReadonlyArray<readonly [level: number, release: string]>} first level of each release */
const releases = [
  [28, "4.2"],
  [26, "4.1"],
  [22, "4.0"],
  [21, "3.9"],
  [20, "3.8"],
  [15, "3.7"],
  [12, "3.6"],
  [9, "3.5"],
  [8, "3.4"],
  [4, "3.3"],
  [3, "3.2"],
  [2, "3.1"],
  [1, "3.0"]
]

const newestLevel = 29

// KIP-853, KIP-951, KIP-903, KIP-516
const fetches = [[17, "3.9"], [16, "3.7"], [15, "3.5"], [13, "3.1"]]

const atLeast = (table, level) => table.find(([from]) => level >= from)?.[1]

/** Reads the compact types of KIP-482. */
const reader = (bytes) => {
  let at = 0
  const i16 = () => bytes.readInt16BE((at += 2) - 2)
  const skip = (size) => void (at += size)
  const varint = () => {
    for (let value = 0, shift = 0;; shift += 7) {
      const byte = bytes.readUInt8(at++)
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
  const text = () => {
    const size = varint() - 1
    return bytes.toString("utf8", at, at += size)
  }
  const array = (item) => Array.from({ length: Math.max(0, varint() - 1) }, item)
  const tags = (known = {}) => {
    for (let left = varint(); left > 0; left--) {
      const tag = varint()
      const end = varint() + at
      known[tag]?.()
      at = end
    }
  }
  return { i16, skip, text, array, tags }
}

const apiVersions = Buffer.concat([
  int(2, 18),
  int(2, 3),
  int(4, 1),
  int(2, 0xffff),
  int(1, 0),
  Buffer.from([12]),
  Buffer.from("effect-cqrs"),
  Buffer.from([2]),
  Buffer.from("1"),
  int(1, 0)
])

const metadata = Buffer.concat([int(2, 3), int(2, 1), int(4, 2), int(2, 0xffff), int(4, 0)])

const parseApiVersions = (bytes) => {
  const { array, i16, skip, tags, text } = reader(bytes)
  skip(4)
  if (i16() === 35) return { product: "Kafka", version: "2.3 or earlier" }
  let fetch = 0
  array(() => {
    const key = i16()
    i16()
    const newest = i16()
    tags()
    if (key === 1) fetch = newest
  })
  skip(4)
  let level = 0
  const features = () =>
    array(() => {
      const name = text()
      i16()
      const newest = i16()
      tags()
      if (name === "metadata.version") level = newest
    })
  tags({ 0: features })
  const release = atLeast(releases, level)
  const bound = release ?? atLeast(fetches, fetch)
  const version = bound === undefined
    ? "3.0 or earlier"
    : release === undefined || level > newestLevel
    ? `${bound} or later`
    : release
  return { product: "Kafka", version }
}

/**
 * @param {string} brokers `host:port,…`: the first that answers
 * @param {{ ready?: boolean, timeout?: number }} options `ready` asks for a broker in the metadata, too
 */
export const probeKafka = async (brokers, { ready = false, ...options } = {}) => {
  let failure = new ProbeError("no broker is named", { heard: false })
  for (const broker of brokers.split(",")) {
    const { hostname, port } = new URL(`kafka://${broker.trim()}`)
    const address = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 9092) }
    try {
      return await converse("Kafka", { ...address, ...options }, async ({ read, where, write }) => {
        const ask = async (request) => {
          write(int(4, request.length), request)
          return read((await read(4)).readInt32BE(0))
        }
        const server = parseApiVersions(await ask(apiVersions))
        if (ready && (await ask(metadata)).readInt32BE(4) === 0) {
          throw new ProbeError(`Kafka on ${where} has no broker in its metadata yet`)
        }
        return server
      })
    } catch (error) {
      failure = error
    }
  }
  throw failure
}
