import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { filesOf, type Kept } from "../src/Pages.ts"
import type { Result } from "../src/Runner.ts"
import { folder, kept } from "../src/Saved.ts"
import { summary } from "../src/Statistics.ts"

const compared = (id: string, ratios: ReadonlyArray<number>, verdict: "pass" | "miss"): Result => ({
  row: {
    id,
    title: "a | b < c",
    unit: "rows/s",
    subject: { contender: "it", figure: "rate" },
    twin: { contender: "other", figure: "rate" },
    target: { atLeast: 0.8 }
  },
  verdict,
  subject: summary(ratios.map((ratio) => ratio * 1000)),
  twin: summary(ratios.map(() => 1000)),
  ratio: summary(ratios)
})

const point = (x: number, rate: number): Result => ({
  row: {
    id: `keys-${x}`,
    title: `${x} keys`,
    unit: "rows/s",
    subject: { contender: `${x}`, figure: "rate" },
    point: { chart: "keys", x }
  },
  verdict: "reported",
  subject: summary([rate])
})

const run = (results: ReadonlyArray<Result>): Kept => ({
  suite: { name: "outbox", title: "The outbox", charts: [{ id: "keys", title: "By keys", x: "keys" }] },
  command: "npm run bench -- outbox --save",
  date: "2026-11-25",
  machine: { cpu: "CPU", cores: 2, memoryGiB: 24, system: "Linux", load: 0 },
  versions: { node: "20.20.2" },
  servers: {},
  scale: 1,
  results
})

describe("Pages", () => {
  it("say what was run, where, and what came of it", () => {
    const files = filesOf([run([compared("drain", [0.7, 0.9, 0.85], "pass"), compared("send", [0.5], "miss")])])
    const page = files.get("outbox.md")!
    assert.include(page, "`npm run bench -- outbox --save`, 2026-11-25. CPU, 2 cores, 24 GiB, Linux. node 20.20.2.")
    assert.include(
      page,
      "| drain | a \\| b < c | 850 (700..900) rows/s | 1,000 (1,000..1,000) | 0.85 (0.7..0.9) | >= 0.8 | pass |"
    )
    assert.include(files.get("README.md")!, "| [outbox](outbox.md) | send | 0.5 (0.5..0.5) | >= 0.8 | **miss** |")
  })

  it("draw each row with a twin where its ratio is", () => {
    const svg = filesOf([run([compared("drain", [0.7, 0.9, 0.85], "pass"), compared("send", [0.5], "miss")])])
      .get("outbox.svg")!
    const places = [...svg.matchAll(/<circle cx="([\d.]+)"/g)].map(([, x]) => Number(x))
    assert.strictEqual(places.length, 2)
    assert.isAbove(places[0]!, places[1]!)
  })

  it("draw what grows as a line: twice as much is twice as high, and ten times as many as far again", () => {
    const svg = filesOf([run([point(1, 100), point(10, 200), point(100, 400)])]).get("outbox-keys.svg")!
    const [, points] = /points="([^"]+)"/.exec(svg)!
    const [[x1, y1], [x2, y2], [x3, y3]] = points!.split(" ").map((at) => at.split(",").map(Number)) as [
      [number, number],
      [number, number],
      [number, number]
    ]
    assert.closeTo(x2 - x1, x3 - x2, 0.2)
    assert.closeTo(y2 - y3, 2 * (y1 - y2), 0.3)
  })

  it("draw nothing of what was skipped", () => {
    const { row } = compared("drain", [1], "pass")
    const files = filesOf([run([{ row, verdict: "skipped", reason: "MariaDB is not there" }])])
    assert.deepStrictEqual([...files.keys()], ["README.md", "outbox.json", "outbox.md"])
    assert.include(files.get("outbox.md")!, "skipped: MariaDB is not there")
  })

  it.effect("are what the runs make that are kept beside them", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      for (const [name, text] of filesOf(yield* kept)) {
        assert.strictEqual(yield* files.readFileString(`${folder}/${name}`), text, name)
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
