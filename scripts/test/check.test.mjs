import { assert, describe, it } from "vitest"
import { selection, typeTestsOf } from "../internal/selection.mjs"
import * as Tally from "../internal/tally.mjs"

const tally = (passed, failed, skipped) => ({ passed, failed, skipped })

describe("check", () => {
  it("counts a program by its exit code", () => {
    assert.deepStrictEqual(Tally.fromExitCode({ code: 0 }), tally(1, 0, 0))
    assert.deepStrictEqual(Tally.fromExitCode({ code: 2 }), tally(0, 1, 0))
  })

  it("counts a script by its last line, and fails one that ends without it", () => {
    assert.deepStrictEqual(
      Tally.fromSummary({ code: 0, stdout: "ok a\n3 passed, 0 failed, 1 skipped\n" }),
      tally(3, 0, 1)
    )
    assert.deepStrictEqual(Tally.fromSummary({ code: 1, stdout: "3 passed, 0 failed, 0 skipped\n" }), tally(3, 1, 0))
    assert.deepStrictEqual(Tally.fromSummary({ code: 0, stdout: "gone" }), tally(0, 1, 0))
  })

  it("counts the assertions of tstyche, and fails a file that does not compile", () => {
    const stdout =
      "Tests:      \u001b[32m1 passed\u001b[39m, 1 total\nAssertions: \u001b[31m1 failed\u001b[39m, \u001b[32m5 passed\u001b[39m, 6 total\n"
    assert.deepStrictEqual(Tally.fromTstyche({ code: 1, stdout }), tally(5, 1, 0))
    assert.deepStrictEqual(Tally.fromTstyche({ code: 1, stdout: "Assertions: 2 passed, 2 total\n" }), tally(2, 1, 0))
  })

  it("counts the tests of vitest, and fails a file that cannot be collected", () => {
    const report = {
      numPassedTests: 4,
      numFailedTests: 1,
      numPendingTests: 2,
      numTodoTests: 0,
      testResults: [
        { status: "failed", assertionResults: [{ status: "failed" }] },
        { status: "failed", assertionResults: [] },
        { status: "passed", assertionResults: [{ status: "passed" }] }
      ]
    }
    assert.deepStrictEqual(Tally.fromVitest(report, 1), tally(4, 2, 2))
    const green = { ...report, numFailedTests: 0, testResults: [] }
    assert.deepStrictEqual(Tally.fromVitest(green, 0), tally(4, 0, 2))
    // An error that no test caught.
    assert.deepStrictEqual(Tally.fromVitest(green, 1), tally(4, 1, 2))
  })

  it("adds the tallies up in one line", () => {
    assert.strictEqual(Tally.summary(Tally.sum([tally(1, 0, 2), tally(3, 1, 0)])), "4 passed, 1 failed, 2 skipped")
  })

  it("takes steps by name or by the part before the colon, files, and the changed files", () => {
    const steps = ["types", "lint:style", "lint:unused"]
    const isFile = (file) => file === "a.ts"
    const select = (...args) => selection(args, steps, isFile)
    assert.deepStrictEqual(select(), { changed: false, files: [], steps, unknown: [] })
    assert.deepStrictEqual(select("lint").steps, ["lint:style", "lint:unused"])
    assert.deepStrictEqual(select("lint:unused", "types").steps, ["types", "lint:unused"])
    assert.deepStrictEqual(select("a.ts"), { changed: false, files: ["a.ts"], steps, unknown: [] })
    assert.deepStrictEqual(select("--changed"), { changed: true, files: [], steps, unknown: [] })
    assert.deepStrictEqual(select("lnt").unknown, ["lnt"])
  })

  it("finds the type tests of a changed module", () => {
    const exists = (file) => file === "packages/core/test/types/Handler.tst.ts"
    assert.deepStrictEqual(
      typeTestsOf(["packages/core/src/Handler.ts", "packages/core/src/Event.ts", "README.md"], exists),
      ["packages/core/test/types/Handler.tst.ts"]
    )
  })
})
