import { randomFillSync } from "node:crypto"

const pool = new Uint8Array(10 * 256)
let used = pool.length
let lastMillis = -1
let counter = 0

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

/**
 * A UUIDv7 (RFC 9562, section 5.7). Within one millisecond of one process `rand_a` counts up (section 6.2, method 1),
 * so that ids made one after another sort that way.
 */
export const uuidv7 = (millis: number): string => {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const at = used
  used += 10
  if (millis > lastMillis) {
    lastMillis = millis
    counter = ((pool[at]! & 0x07) << 8) | pool[at + 1]!
  } else if (++counter > 0xfff) {
    // the counter of this millisecond is spent: borrow the next one
    lastMillis += 1
    counter = 0
  }
  const high = Math.floor(lastMillis / 0x10000)
  const low = lastMillis % 0x10000
  return hex[(high >>> 24) & 0xff]! + hex[(high >>> 16) & 0xff] + hex[(high >>> 8) & 0xff] + hex[high & 0xff] + "-"
    + hex[low >>> 8] + hex[low & 0xff] + "-"
    + hex[0x70 | (counter >>> 8)] + hex[counter & 0xff] + "-"
    + hex[0x80 | (pool[at + 2]! & 0x3f)] + hex[pool[at + 3]!] + "-"
    + hex[pool[at + 4]!] + hex[pool[at + 5]!] + hex[pool[at + 6]!] + hex[pool[at + 7]!] + hex[pool[at + 8]!]
    + hex[pool[at + 9]!]
}
