/** What happened in a run: what the checker judges, kept as a file of JSON lines. */
import { createReadStream, createWriteStream } from "node:fs"
import { createInterface } from "node:readline"
import type { Kind } from "./Domain.ts"
import type { Found } from "./servers/Server.ts"

/** Something that was done to the system. Times are milliseconds since 1970, of this machine's clock. */
export interface Struck {
  readonly number: number
  readonly kind: string
  readonly target: string
  readonly way: string
  readonly from: number
  /** When it was taken back; of a death, when the next process began. */
  readonly to: number
  /** Why it could not be done; then it is none. */
  readonly refused?: string | undefined
  /** Of a relay's death: when others had all the buckets that it had held. */
  readonly takenOver?: number | undefined
  /** Of a relay's death: how many those were. */
  readonly buckets?: number | undefined
}

export interface Announced {
  readonly id: string
  readonly key: string
  readonly version: number
  readonly kind: Kind
  readonly at: number
}

export interface Applied {
  readonly id: string
  readonly key: string
  readonly version: number
  readonly consumer: string
  readonly at: number
}

export interface DeadLetter {
  readonly id: string
  readonly where: "outbox" | "consumer"
  readonly reason: string
}

export interface History {
  readonly faults: ReadonlyArray<Struck>
  /** The committed transactions' own account, in no order. */
  readonly ledger: ReadonlyArray<Announced>
  /** What the accounts' versions are in the end. */
  readonly accounts: ReadonlyArray<{ readonly key: string; readonly version: number }>
  /** What the topics took, each lane in its order. */
  readonly delivered: ReadonlyArray<Found>
  /** What the consumers' transactions did, in the order in which it was done. */
  readonly applied: ReadonlyArray<Applied>
  readonly deadLetters: ReadonlyArray<DeadLetter>
  readonly attempts: ReadonlyArray<{ readonly id: string; readonly attempts: number; readonly reason: string }>
  /** Processes that ended, and nobody had ended them. */
  readonly exits: ReadonlyArray<{ readonly process: string; readonly how: string; readonly at: number }>
  /** What had not come to rest in the end, as sentences. */
  readonly unrest: ReadonlyArray<string>
}

const parts = [
  "faults",
  "ledger",
  "accounts",
  "delivered",
  "applied",
  "deadLetters",
  "attempts",
  "exits",
  "unrest"
] as const

/** A line for each thing, with the part that it belongs to. */
export const write = (file: string, history: History): Promise<void> =>
  new Promise((resolve, reject) => {
    const out = createWriteStream(file)
    out.once("error", reject).once("finish", resolve)
    for (const part of parts) for (const one of history[part]) out.write(`${JSON.stringify([part, one])}\n`)
    out.end()
  })

/** What {@link write} has written. */
export const read = async (file: string): Promise<History> => {
  const history: Record<string, Array<unknown>> = Object.fromEntries(parts.map((part) => [part, []]))
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [part, one] = JSON.parse(line) as [string, unknown]
    history[part]!.push(one)
  }
  return history as unknown as History
}
