import { appendFileSync, closeSync, openSync, readSync } from "node:fs"
import type { Delivered } from "./history.ts"

/** A delivery, and when it was made, in milliseconds since 1970. */
export interface Recorded extends Delivered {
  readonly at: number
}

/**
 * Writes deliveries down, in one step: what is in the file outlives the process, and the file's order is the order in
 * which they were made, whichever process made them.
 */
export const record = (file: string, deliveries: ReadonlyArray<Recorded>): void => {
  // each step begins a line: a process that is killed in the middle of one leaves the last line of it torn
  appendFileSync(file, deliveries.map((one) => `\n${JSON.stringify(one)}`).join(""))
}

/**
 * Reads what has been written down so far, each time all of it. A torn line is no delivery: whoever wrote it was killed
 * before it answered.
 */
export const follow = (file: string): () => ReadonlyArray<Recorded> => {
  const found: Array<Recorded> = []
  const chunk = Buffer.alloc(1 << 16)
  let at = 0
  let rest = ""
  return () => {
    const handle = openSync(file, "a+")
    for (let read = readSync(handle, chunk, 0, chunk.length, at); read > 0;) {
      at += read
      // ids, keys and names are ASCII: no character is cut in two
      rest += chunk.toString("latin1", 0, read)
      read = readSync(handle, chunk, 0, chunk.length, at)
    }
    closeSync(handle)
    const lines = rest.split("\n")
    const last = parse(lines.at(-1)!)
    rest = last === undefined ? lines.pop()! : ""
    for (const line of lines) {
      const one = parse(line)
      if (one !== undefined) found.push(one)
    }
    return found
  }
}

const parse = (line: string): Recorded | undefined => {
  if (!line.endsWith("}")) return undefined
  return JSON.parse(line)
}
