import { assert, describe, it } from "@effect/vitest"
import { withoutAborted } from "../src/internal/transactions.ts"

const record = (offset: number, producerId: string, key: Buffer | null = null) => ({
  offset: String(offset),
  timestamp: "0",
  key,
  value: null,
  isControlRecord: false,
  batchContext: { producerId, inTransaction: producerId !== "none" }
})
/** The end of a transaction: 0, it was given up; 1, it was not. */
const end = (offset: number, producerId: string, type: 0 | 1) => ({
  ...record(offset, producerId, Buffer.from([0, 0, 0, type])),
  isControlRecord: true
})
const shown = (
  messages: ReadonlyArray<ReturnType<typeof record>>,
  abortedTransactions: ReadonlyArray<{ producerId: string; firstOffset: string }> | null
) =>
  withoutAborted({ errorCode: 0, messages, abortedTransactions }).messages.filter(({ isControlRecord }) =>
    !isControlRecord
  ).map(({ offset }) => Number(offset))

describe("what was given up", () => {
  it("is not shown, where a fetch begins in the middle of several", () => {
    const messages = [record(7, "b"), record(8, "a"), record(9, "none"), end(10, "b", 0), end(11, "a", 0)]
    const aborted = [{ producerId: "a", firstOffset: "3" }, { producerId: "b", firstOffset: "5" }]
    assert.deepStrictEqual(shown(messages, aborted), [9])
    assert.deepStrictEqual(shown(messages, [...aborted].reverse()), [9], "in whichever order they are listed")
  })

  it("ends with its own mark: what the same producer writes afterwards is shown", () => {
    const messages = [record(0, "a"), end(1, "a", 0), record(2, "a"), record(3, "a"), end(4, "a", 1)]
    assert.deepStrictEqual(shown(messages, [{ producerId: "a", firstOffset: "0" }]), [2, 3])
  })

  it("does not end with a message whose key looks like the mark", () => {
    const messages = [record(0, "a", Buffer.from([0, 0, 0, 0])), record(1, "a"), end(2, "a", 0)]
    assert.deepStrictEqual(shown(messages, [{ producerId: "a", firstOffset: "0" }]), [])
  })

  it("leaves alone what its producer writes outside of transactions, and messages that are older than those", () => {
    const outside = { ...record(1, "a"), batchContext: { producerId: "a", inTransaction: false } }
    const { batchContext: _, ...old } = record(2, "a")
    const messages = [record(0, "a"), outside, old as ReturnType<typeof record>]
    assert.deepStrictEqual(shown(messages, [{ producerId: "a", firstOffset: "0" }]), [1, 2])
    assert.deepStrictEqual(shown(messages, null), [0, 1, 2], "and nothing is hidden where nothing was given up")
  })
})
