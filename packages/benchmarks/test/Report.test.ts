import { assert, describe, it } from "@effect/vitest"
import * as Report from "../src/Report.ts"
import type { Result } from "../src/Runner.ts"
import { summary } from "../src/Statistics.ts"

const row = {
  id: "drain/mariadb",
  title: "drain",
  unit: "rows/s",
  subject: { contender: "relay", figure: "rate" },
  target: { atLeast: 2 / 3 }
}

const measured: Result = {
  row,
  verdict: "pass",
  subject: summary([20_000, 30_000, 25_000]),
  twin: summary([10_000, 10_000, 50_000]),
  ratio: summary([2, 3, 0.5])
}

const report = (
  options: { readonly load?: number; readonly scale?: number; readonly result?: Result }
): Report.Report => ({
  machine: { cpu: "CPU", cores: 2, memoryGiB: 24, system: "Linux", load: options.load ?? 0 },
  versions: { node: "20.20.2", effect: "3.22.4" },
  servers: { MariaDB: { version: "10.11", log_bin: "0" } },
  scale: options.scale ?? 1,
  suites: [{ name: "outbox", results: [options.result ?? measured] }]
})

describe("Report", () => {
  it("has a line for each row, and what was measured where", () => {
    assert.strictEqual(
      Report.text(report({})),
      [
        "outbox, median (lowest to highest round)",
        "row            what   figure                          twin                     ratio       target",
        "drain/mariadb  drain  25,000 (20,000..30,000) rows/s  10,000 (10,000..50,000)  2 (0.5..3)  >= 0.667  pass",
        "",
        "CPU, 2 cores, 24 GiB, Linux",
        "node 20.20.2, effect 3.22.4",
        "MariaDB: version 10.11, log_bin 0"
      ].join("\n")
    )
  })

  it("says why there are no figures", () => {
    const result: Result = { row, verdict: "failed", reason: "one is lost" }
    assert.match(Report.text(report({ result })), /drain\/mariadb +drain +>= 0\.667 +failed: one is lost\n/)
  })

  it("says what takes away from the figures: a busy machine, small sizes", () => {
    assert.include(Report.text(report({ load: 7.5 })), "its load was 7.5 before the run began")
    assert.include(Report.text(report({ scale: 0.15 })), "At 0.15 of the full sizes")
  })

  it("is one object as JSON, with the figures of each round", () => {
    const { suites } = JSON.parse(Report.json(report({})))
    assert.deepStrictEqual(suites, [{
      name: "outbox",
      rows: [{ ...row, verdict: "pass", subject: measured.subject, twin: measured.twin, ratio: measured.ratio }]
    }])
  })
})
