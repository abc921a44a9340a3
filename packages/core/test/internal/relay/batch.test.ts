import { assert, describe, it } from "@effect/vitest"
import { apart, arrange, within } from "../../../src/internal/relay/batch.ts"
import { entry, sequencesOf } from "./entries.ts"

describe("apart", () => {
  const bad = (sequence: number, key: string | undefined = "blue") => entry(sequence, { key, malformed: "nonsense" })
  const halting = () => true

  it("leaves messages as they are", () => {
    const entries = [entry(1), entry(2)]
    assert.deepStrictEqual(apart(entries, halting), { buried: [], publishable: entries, isCut: false })
  })

  it("buries what is no message, and holds back what it halts", () => {
    const { buried, isCut, publishable } = apart([bad(1), entry(2), entry(3, { key: "red" })], halting)
    assert.deepStrictEqual(buried.map(({ reason }) => reason), ["nonsense"])
    assert.deepStrictEqual(sequencesOf(publishable), [3])
    assert.isFalse(isCut)
  })

  it("holds back nothing where dead letters are skipped", () => {
    const { buried, publishable } = apart([bad(1), entry(2), bad(3), entry(4)], () => false)
    assert.deepStrictEqual(sequencesOf(buried.map((one) => one.entry)), [1])
    assert.deepStrictEqual(sequencesOf(publishable), [2])
  })

  it("leaves one that is behind others of its key for the next step, and what is behind it", () => {
    const { buried, isCut, publishable } = apart([entry(1), bad(2), entry(3)], halting)
    assert.deepStrictEqual(buried, [])
    assert.deepStrictEqual(sequencesOf(publishable), [1])
    assert.isTrue(isCut)
  })

  it("one without a key is in nobody's way", () => {
    const { buried, publishable } = apart([entry(1, { key: undefined }), bad(2, undefined)], halting)
    assert.strictEqual(buried.length, 1)
    assert.deepStrictEqual(sequencesOf(publishable), [1])
  })
})

describe("within", () => {
  it("keeps as many of each bucket as its window has room for", () => {
    const entries = [1, 2, 3, 4, 5].map((n) => entry(n, { bucket: n % 2 }))
    assert.deepStrictEqual(sequencesOf(within(entries, (bucket) => bucket === 1 ? 2 : 1)), [1, 2, 3])
  })
})

describe("arrange", () => {
  const of = (
    again: ReadonlyArray<number>,
    usable: ReadonlyArray<number>,
    doubtful: ReadonlyArray<string> = [],
    tried = 0n
  ) => {
    const numbered = (n: number) => entry(n, { topic: n % 2 === 0 ? "even" : "odd", key: `key ${n % 100}` })
    const { isCut, single, together, trial } = arrange({
      again: again.map(numbered),
      usable: usable.map(numbered),
      isDoubtful: (topic) => doubtful.includes(topic),
      tried
    })
    return [sequencesOf(together), sequencesOf(single), sequencesOf(trial), isCut]
  }

  it("publishes together what has not failed, and by itself what has", () => {
    assert.deepStrictEqual(of([2], [1, 3]), [[1, 3], [2], [], false])
  })

  it("tries the first of a few keys where the destination is in doubt, and publishes the others together", () => {
    assert.deepStrictEqual(of([], [1, 2, 3, 4, 102], ["even"]), [[1, 3], [], [2, 4], true])
    assert.deepStrictEqual(of([4], [2], ["even"]), [[], [], [2, 4], false])
  })

  it("tries eight at most, others each time", () => {
    const twelve = Array.from({ length: 12 }, (_, n) => 2 * n + 2)
    assert.deepStrictEqual(of([], twelve, ["even"])[2], [2, 4, 6, 8, 10, 12, 14, 16])
    assert.deepStrictEqual(of([], twelve, ["even"], 16n)[2], [18, 20, 22, 24, 2, 4, 6, 8])
    assert.deepStrictEqual(of([], twelve, ["even"], 24n)[2], [2, 4, 6, 8, 10, 12, 14, 16])
    assert.isTrue(of([], twelve, ["even"])[3])
  })
})
