import type { OutboxStorage } from "@effect-cqrs/core"
import { message } from "../../fixtures.ts"

/** An entry of a key in the topic `rooms` and the bucket 0, but for what is given. */
export const entry = (
  sequence: number,
  given: {
    readonly topic?: string
    readonly key?: string | undefined
    readonly bucket?: number
    readonly attempts?: number
    readonly malformed?: string
    readonly size?: number
  } = {}
): OutboxStorage.Entry => ({
  sequence: BigInt(sequence),
  bucket: given.bucket ?? 0,
  attempts: given.attempts ?? 0,
  malformed: given.malformed,
  message: message({
    topic: given.topic ?? "rooms",
    key: "key" in given ? given.key : "blue",
    sequence: BigInt(sequence),
    payload: new Uint8Array(given.size ?? 1)
  })
})

export const sequencesOf = (entries: ReadonlyArray<OutboxStorage.Entry>): ReadonlyArray<number> =>
  entries.map(({ sequence }) => Number(sequence))
