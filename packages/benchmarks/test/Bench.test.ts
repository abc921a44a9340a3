/** `npm run bench` where it has nothing to measure. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bench } from "./bench.ts"

const nothing = { EFFECT_CQRS_MARIADB_URL: "", EFFECT_CQRS_POSTGRES_URL: undefined }

describe("npm run bench", () => {
  it.live("shows the rows of a server that is not there as skipped, and ends well", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* bench(["outbox", "--quick", "--json"], { env: nothing })
      const { suites } = JSON.parse(stdout)
      assert.strictEqual(code, 0)
      assert.isAbove(suites[0].rows.length, 20)
      for (const { reason, verdict } of suites[0].rows) {
        assert.strictEqual(verdict, "skipped")
        assert.match(reason, /^EFFECT_CQRS_(MARIADB|POSTGRES)_URL not set$/)
      }
    }), 60_000)

  it.live("prints a table of the rows that are asked for, and the versions", () =>
    Effect.gen(function*() {
      const { stdout } = yield* bench(["outbox", "--only", "drain/mariadb", "--only", "writers"], { env: nothing })
      const rows = stdout.split("\n").filter((line) => line.includes("skipped")).map((line) => line.split(" ")[0])
      assert.deepStrictEqual(rows, ["drain/mariadb", "writers/mariadb", "writers/postgres"])
      assert.match(stdout, /node \d+.*effect 3\..*mysql2 3\..*pg-boss 10\./)
    }), 60_000)

  for (
    const [what, args, said] of [
      ["suite", ["inbox"], "There is no suite inbox; there are "],
      ["row", ["outbox", "--only", "drian"], "There is no row drian; there are transaction/mariadb, "]
    ] as const
  ) {
    it.live(`says in one sentence that there is no such ${what}, and which there are`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* bench(args)
        assert.include(stderr, said)
        assert.match(stderr, /^[^\n]+\n$/)
        assert.strictEqual(stdout, "")
        assert.strictEqual(code, 1)
      }), 60_000)
  }
})
