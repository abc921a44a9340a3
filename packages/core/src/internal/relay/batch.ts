import type { Entry } from "../../OutboxStorage.ts"
import { KeyMap } from "./keyMap.ts"

/** Entries that are published one by one to find out whether what was out is back. */
const perTrial = 8

/** An entry that is not published, and why. */
export interface Buried {
  readonly entry: Entry
  readonly reason: string
}

/**
 * Takes out the entries that are no messages. What they halt is not published, and they are not judged before those of
 * their key that come before them.
 */
export const apart = (
  entries: ReadonlyArray<Entry>,
  halts: (topic: string) => boolean
): {
  readonly buried: ReadonlyArray<Buried>
  readonly publishable: ReadonlyArray<Entry>
  /** Whether some were left for the next step. */
  readonly isCut: boolean
} => {
  if (entries.every(({ malformed }) => malformed === undefined)) {
    return { buried: [], publishable: entries, isCut: false }
  }
  const buried: Array<Buried> = []
  const publishable: Array<Entry> = []
  const before = new KeyMap<"published" | "halted">()
  let isCut = false
  for (const entry of entries) {
    const { key, topic } = entry.message
    const state = key === undefined ? undefined : before.get(topic, key)
    if (state === "halted") continue
    if (entry.malformed === undefined) {
      publishable.push(entry)
      if (key !== undefined) before.set(topic, key, "published")
    } else if (state === "published") {
      isCut = true
      if (key !== undefined) before.set(topic, key, "halted")
    } else {
      buried.push({ entry, reason: entry.malformed })
      if (key !== undefined && halts(topic)) before.set(topic, key, "halted")
    }
  }
  return { buried, publishable, isCut }
}

/** Those that may be in flight, where a bucket has a limit. */
export const within = (
  entries: ReadonlyArray<Entry>,
  window: (bucket: number) => number
): ReadonlyArray<Entry> => {
  const counts = new Map<number, number>()
  return entries.filter(({ bucket }) => {
    const count = (counts.get(bucket) ?? 0) + 1
    counts.set(bucket, count)
    return count <= window(bucket)
  })
}

/**
 * Divides entries in those that are published together and those that are published by themselves, one after the other:
 * what has failed before, so that it takes nothing along with it; and, where a destination or the broker is in doubt, the
 * first ones of a few keys, other ones each time, so that some that cannot be delivered do not stand for all.
 */
export const arrange = (options: {
  /** Those that have failed before, and the others. */
  readonly again: ReadonlyArray<Entry>
  readonly usable: ReadonlyArray<Entry>
  readonly isDoubtful: (topic: string) => boolean
  /** The last one that was tried. */
  readonly tried: bigint
}): {
  readonly together: ReadonlyArray<Entry>
  readonly single: ReadonlyArray<Entry>
  readonly trial: ReadonlyArray<Entry>
  /** Whether some were left for the next step. */
  readonly isCut: boolean
} => {
  const { again, isDoubtful, tried, usable } = options
  const together: Array<Entry> = []
  const single: Array<Entry> = []
  const candidates: Array<Entry> = []
  const seen = new KeyMap<true>()
  let doubtful = 0
  for (const entry of again) {
    if (isDoubtful(entry.message.topic)) candidates.push(entry)
    else single.push(entry)
  }
  for (const entry of usable) {
    const { key, topic } = entry.message
    if (!isDoubtful(topic)) {
      together.push(entry)
      continue
    }
    doubtful += 1
    if (key !== undefined) {
      if (seen.has(topic, key)) continue
      seen.set(topic, key, true)
    }
    candidates.push(entry)
  }
  candidates.sort((a, b) => a.sequence < b.sequence ? -1 : 1)
  const next = candidates.findIndex(({ sequence }) => sequence > tried)
  const trial = (next < 0 ? candidates : [...candidates.slice(next), ...candidates.slice(0, next)]).slice(0, perTrial)
  return { together, single, trial, isCut: again.length - single.length + doubtful > trial.length }
}
