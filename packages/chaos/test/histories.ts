/** Histories as a run would leave them. */
import { grace } from "../src/Checker.ts"
import type { Announced, DeadLetter, History, Struck } from "../src/History.ts"

export const began = Date.UTC(2026, 0, 1)

export const announced = (key: string, version: number, more: Partial<Announced> = {}): Announced => ({
  id: `${key}-${version}`,
  key,
  version,
  kind: "plain",
  at: began + version * 1_000,
  ...more
})

/** Done at the beginning, and at once. */
export const struck = (kind: string, more: Partial<Struck> = {}): Struck => ({
  number: 1,
  kind,
  target: kind.replace(/^.*-/, "") + " 1",
  way: "",
  from: began,
  to: began,
  ...more
})

/** After each fault that begins with the run. */
export const later = began + grace + 1

/** Everything that was announced is delivered in a lane by its key, and applied, both a tenth of a second later. */
export const sound = (ledger: ReadonlyArray<Announced>, more: Partial<History> = {}): History => ({
  asked: { database: "mariadb", broker: "kafka", minutes: 1, seed: 1, kinds: [] },
  faults: [],
  ledger,
  accounts: [...new Set(ledger.map(({ key }) => key))].map((key) => ({
    key,
    version: Math.max(...ledger.filter((one) => one.key === key).map(({ version }) => version))
  })),
  delivered: ledger.filter(({ kind }) => kind !== "poison").map(({ at, id, key, version }) => ({
    lane: `topic/1/${key}`,
    place: version,
    id,
    key,
    version,
    at: at + 100
  })),
  applied: ledger.filter(({ kind }) => kind === "plain").map(({ at, id, key, version }) => ({
    id,
    key,
    version,
    consumer: "consumer 1",
    at: at + 100
  })),
  deadLetters: ledger.flatMap(({ id, kind }): ReadonlyArray<DeadLetter> =>
    kind === "poison"
      ? [{ id, where: "outbox", reason: "too large" }]
      : kind === "deadly"
      ? [{ id, where: "consumer", reason: "it killed" }]
      : []
  ),
  attempts: ledger.filter(({ kind }) => kind === "poison").map(({ id }) => ({ id, attempts: 1, reason: "too large" })),
  exits: [],
  unrest: [],
  ...more
})
