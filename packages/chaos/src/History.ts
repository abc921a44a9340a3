/** What happened in a run: what the checker judges, kept as a file of JSON lines. */
import { Effect } from "effect"
import { open, readFile } from "node:fs/promises"
import type { Kind } from "./Domain.ts"
import type { Found } from "./servers/Server.ts"
import { type Broker, type Database, SettingError } from "./Setting.ts"

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

interface Applied {
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

/** What was run: the same again does the same faults. */
export interface Asked {
  readonly database: Database
  readonly broker: Broker
  readonly minutes: number
  readonly seed: number
  /** The kinds of faults. */
  readonly kinds: ReadonlyArray<string>
}

export interface History {
  readonly asked: Asked
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

/** What it was, and then a line for each thing, with the part that it belongs to. */
export const write = (file: string, history: History): Effect.Effect<void, SettingError> =>
  Effect.tryPromise({
    try: async () => {
      const out = await open(file, "w")
      await out.write(`${JSON.stringify(["asked", history.asked])}\n`)
      for (const part of parts) {
        await out.write(history[part].map((one) => `${JSON.stringify([part, one])}\n`).join(""))
      }
      await out.close()
    },
    catch: (cause) => new SettingError({ message: `The history cannot be kept in ${file}: ${String(cause)}` })
  })

/** What {@link write} has written. */
export const read = (file: string): Effect.Effect<History, SettingError> =>
  Effect.tryPromise({
    try: async () => {
      const history: Record<string, Array<unknown>> = Object.fromEntries(parts.map((part) => [part, []]))
      let asked: unknown
      for (const line of (await readFile(file, "utf8")).trimEnd().split("\n")) {
        const [part, one] = JSON.parse(line) as [string, unknown]
        if (part === "asked") asked = one
        else history[part]!.push(one)
      }
      return { asked, ...history } as unknown as History
    },
    catch: (cause) => new SettingError({ message: `${file} is no history of chaos: ${String(cause)}` })
  })
