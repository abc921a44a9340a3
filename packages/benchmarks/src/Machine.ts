/**
 * Where a run took place: the machine, and the versions of what was measured.
 */
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import os from "node:os"

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  /** How many processes wanted to run when the run began: what else the machine had to do takes away from all figures. */
  readonly load: number
}

export const machine: Effect.Effect<Machine> = Effect.sync(() => ({
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  system: `${os.type()} ${os.release()} ${os.arch()}`,
  load: os.loadavg()[0]!
}))

/** The versions of Node and of some of this package's dependencies. */
export const versions = (packages: ReadonlyArray<string>): Effect.Effect<Readonly<Record<string, string>>> =>
  Effect.sync(() => ({
    node: process.versions.node,
    ...Object.fromEntries(packages.map((name) => [name, versionOf(name)]))
  }))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const versionOf = (name: string): string =>
  JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8")).version
