/** One message of a partition. */
interface Entry {
  readonly offset: number
  /** What it was when it came: another one at its offset is of another log. */
  readonly timestamp: string
  isSettled: boolean
}

/** Which messages of a partition are settled: all before its position are. */
export interface Prefix {
  /** Where the next member would begin: what is to be committed. */
  readonly position: () => number
  /** Neither settled, nor behind one that is not. */
  readonly open: () => number
  /** Takes in the next one; offsets grow, and have gaps. */
  readonly add: (offset: number, timestamp: string) => Entry
  readonly settle: (entry: Entry) => void
  /** Nothing will come with an offset below this one. */
  readonly skipTo: (offset: number) => void
  readonly find: (offset: number) => Entry | undefined
}

export const make = (start: number): Prefix => {
  let entries: Array<Entry> = []
  let head = 0
  let end = start

  const advance = (): void => {
    while (head < entries.length && entries[head]!.isSettled) head += 1
    if (head === entries.length) {
      entries = []
      head = 0
    } else if (head > 1024 && head * 2 > entries.length) {
      entries = entries.slice(head)
      head = 0
    }
  }

  return {
    position: () => head < entries.length ? entries[head]!.offset : end,
    open: () => entries.length - head,
    add: (offset, timestamp) => {
      const entry = { offset, timestamp, isSettled: false }
      entries.push(entry)
      end = Math.max(end, offset + 1)
      return entry
    },
    settle: (entry) => {
      entry.isSettled = true
      if (entry === entries[head]) advance()
    },
    skipTo: (offset) => {
      end = Math.max(end, offset)
    },
    find: (offset) => {
      for (let i = head; i < entries.length; i++) if (entries[i]!.offset === offset) return entries[i]
      return undefined
    }
  }
}
