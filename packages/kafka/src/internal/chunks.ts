import type { Message } from "kafkajs"
import { batchOverhead, type Outgoing, sizeOf } from "./record.ts"

/** One message of a batch that is published. */
export interface Entry {
  /** Its place in the batch. */
  readonly index: number
  readonly outgoing: Outgoing
  /** What no later one may overtake it in; `undefined` for none. */
  readonly lane: string | undefined
}

/** A record batch to be: messages of one partition. */
export interface Chunk {
  readonly entries: ReadonlyArray<Entry>
  readonly bytes: number
}

/** kafkajs groups and encodes in time that grows faster than their number. */
const maxEntries = 2000

/** Cuts what goes to one partition so that each chunk fits; one that fits nowhere is alone. */
export const cut = (entries: ReadonlyArray<Entry>, maxBytes: number): Array<Chunk> => {
  const chunks: Array<Chunk> = []
  let current: Array<Entry> = []
  let bytes = batchOverhead
  const close = () => {
    if (current.length > 0) chunks.push({ entries: current, bytes })
    current = []
    bytes = batchOverhead
  }
  for (const entry of entries) {
    const { most } = sizeOf(entry.outgoing)
    if (current.length > 0 && (bytes + most > maxBytes || current.length >= maxEntries)) close()
    current.push(entry)
    bytes += most
  }
  close()
  return chunks
}

export const halves = ({ bytes, entries }: Chunk): [Chunk, Chunk] => {
  const middle = entries.length >> 1
  const half = (part: ReadonlyArray<Entry>): Chunk => ({ entries: part, bytes: Math.ceil(bytes / 2) })
  return [half(entries.slice(0, middle)), half(entries.slice(middle))]
}

export const messagesOf = (chunk: Chunk): ReadonlyArray<Message> => chunk.entries.map(({ outgoing }) => outgoing)
