import type { RawFetched } from "./node.ts"

/**
 * What was fetched, with that which was given up marked as control records are: nobody is shown either. The brokers send
 * it along, with a list of where the transactions began that were given up.
 *
 * kafkajs's own consumer takes one of that list for each message, so that it shows some where a fetch begins in the middle
 * of several; and any message for the end of a transaction whose key is of the same bytes. With nothing left on the list it
 * does nothing.
 *
 * Source: KIP-98, "Consumer", and "Control Messages" of the protocol.
 */
export const withoutAborted = <A extends RawFetched>(fetched: A): A => {
  const begun = fetched.abortedTransactions ?? []
  if (begun.length === 0) return fetched
  const aborted = [...begun].sort((one, other) => Number(one.firstOffset) - Number(other.firstOffset))
  const open = new Set<string>()
  let next = 0
  const messages = fetched.messages.map((message) => {
    while (next < aborted.length && Number(aborted[next]!.firstOffset) <= Number(message.offset)) {
      open.add(aborted[next++]!.producerId)
    }
    const { inTransaction = false, producerId = "" } = message.batchContext ?? {}
    if (message.isControlRecord !== true) {
      return inTransaction && open.has(producerId) ? { ...message, isControlRecord: true } : message
    }
    if (isAbort(message)) open.delete(producerId)
    return message
  })
  return { ...fetched, messages, abortedTransactions: [] }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Its key is a version and a type, of 16 bits each. */
const isAbort = ({ key }: RawFetched["messages"][number]): boolean =>
  key !== null && key.length >= 4 && key.readInt16BE(2) === 0
