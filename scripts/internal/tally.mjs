/** The line every check ends with. */
export const summary = ({ failed, passed, skipped }) => `${passed} passed, ${failed} failed, ${skipped} skipped`

/** The sum of tallies. */
export const sum = (tallies) =>
  tallies.reduce(
    (total, { failed, passed, skipped }) => ({
      passed: total.passed + passed,
      failed: total.failed + failed,
      skipped: total.skipped + skipped
    }),
    { passed: 0, failed: 0, skipped: 0 }
  )

// A check that ended badly without naming a failure has failed as a whole.
const atLeastOneFailure = (tally, code) => (code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally)

/** A program that is one check: its exit code decides. */
export const fromExitCode = ({ code }) =>
  code === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 }

/** A script of ours: its last line is its summary. */
export const fromSummary = ({ code, stdout }) => {
  const match = /(\d+) passed, (\d+) failed, (\d+) skipped\s*$/.exec(stdout)
  if (match === null) return { passed: 0, failed: 1, skipped: 0 }
  return atLeastOneFailure({ passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3]) }, code)
}

/** tstyche: its assertions; an error outside an assertion fails the file it stands in. */
export const fromTstyche = ({ code, stdout }) => {
  // eslint-disable-next-line no-control-regex -- the colours of a terminal
  const line = /^Assertions:(.*)$/m.exec(stdout.replace(/\u001b\[\d+m/g, ""))?.[1] ?? ""
  const count = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0)
  return atLeastOneFailure(
    { passed: count("passed"), failed: count("failed"), skipped: count("skipped") + count("todo") },
    code
  )
}

/** Vitest's JSON report: its tests; a file that could not be collected is a failure of its own. */
export const fromVitest = (report, code) => {
  const broken =
    report.testResults.filter(({ assertionResults, status }) =>
      status === "failed" && assertionResults.every(({ status }) => status !== "failed")
    ).length
  return atLeastOneFailure(
    {
      passed: report.numPassedTests,
      failed: report.numFailedTests + broken,
      skipped: report.numPendingTests + report.numTodoTests
    },
    code
  )
}
