/** The partition of a key, among so many. */
export type Partitioner = (key: Buffer, count: number) => number

/**
 * As Kafka's Java clients do it: MurmurHash2 (Austin Appleby, public domain) of the key with the seed that they use, its
 * sign bit cleared, modulo the partitions. Source: Apache Kafka, `Utils.murmur2` and `BuiltInPartitioner`.
 */
export const murmur2: Partitioner = (key, count) => (murmur2Hash(key) & 0x7fffffff) % count

const multiplier = 0x5bd1e995
const seed = 0x9747b28c

export const murmur2Hash = (bytes: Uint8Array): number => {
  const length = bytes.length
  let hash = seed ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> 24
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  const rest = length - at
  if (rest > 2) hash ^= bytes[at + 2]! << 16
  if (rest > 1) hash ^= bytes[at + 1]! << 8
  if (rest > 0) hash = Math.imul(hash ^ bytes[at]!, multiplier)
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

/** As librdkafka's `consistent` partitioners: CRC-32 (IEEE 802.3) of the key, modulo the partitions. */
export const crc32: Partitioner = (key, count) => crc32Hash(key) % count

export const crc32Hash = (bytes: Uint8Array): number => {
  let crc = -1
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255]!
  return (crc ^ -1) >>> 0
}

const table = Int32Array.from({ length: 256 }, (_, n) => {
  let crc = n
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})
