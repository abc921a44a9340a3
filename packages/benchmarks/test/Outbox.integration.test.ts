/** The outbox suite at tiny sizes: what it prints, what it notices, and what it leaves behind. */
import { Endpoint } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import type { Redacted } from "effect"
import { Effect } from "effect"
import { type Server, servers } from "../src/Database.ts"
import { bench, type Ended } from "./bench.ts"

const hint = "`npm run services -- up` finds or starts one."

const tiny = ["outbox", "--quick", "--scale", "0.005", "--rounds", "1"]

const lists = {
  mariadb: "select schema_name as name from information_schema.schemata",
  postgres: "select datname as name from pg_database"
}

const onEachServer = (tests: (server: Server, url: Redacted.Redacted) => void): void => {
  for (const server of servers) {
    Endpoint.suite(server.title, { describe, it, variable: server.variable, hint }, (url) => tests(server, url))
  }
}

/** The databases of a run that are still there. */
const remains = (server: Server, url: Redacted.Redacted, { pid }: Ended) =>
  Effect.scoped(Effect.flatMap(server.hand(url), (hand) => Effect.tryPromise(() => hand.query(lists[server.id])))).pipe(
    Effect.map((rows) => rows.map(({ name }) => String(name)).filter((name) => name.startsWith(`cqrs_bench_${pid}_`)))
  )

const rowsOf = ({ stdout }: Ended): ReadonlyArray<Record<string, any>> => JSON.parse(stdout).suites[0].rows

describe("npm run bench -- outbox", () => {
  onEachServer((server, url) => {
    const only = (...names: ReadonlyArray<string>) => names.flatMap((name) => ["--only", `${name}/${server.id}`])

    it.live("measures, prints one JSON object, and leaves no database behind", () =>
      Effect.gen(function*() {
        const ended = yield* bench([...tiny, ...only("drain", "transaction", "writers", "snapshot"), "--json"])
        assert.strictEqual(ended.code, 0, ended.stderr)
        const rows = rowsOf(ended)
        assert.deepStrictEqual(
          rows.map(({ id }) => id),
          ["transaction", "drain", "snapshot", "writers"].map((name) => `${name}/${server.id}`)
        )
        for (const { ratio, subject, target, twin, verdict } of rows) {
          assert.isAbove(subject.median, 0)
          assert.strictEqual(subject.rounds.length, 1)
          assert.approximately(ratio.median, subject.median / twin.median, 1e-9)
          const met = "atLeast" in target ? ratio.median >= target.atLeast : ratio.median <= target.atMost
          assert.strictEqual(verdict, met ? "pass" : "miss")
        }
        assert.include(ended.stderr, `drain ${server.title}: round 1 of 1, relay: rate `)
        assert.match(JSON.parse(ended.stdout).servers[server.title].version, /^\d+\.\d+/)
        assert.deepStrictEqual(yield* remains(server, url, ended), [])
      }), 120_000)

    for (
      const [fault, row] of [["drop", "drain"], ["swap", "hot-key"], ["repeat", "backlog"], [
        "repeat",
        "writers"
      ]] as const
    ) {
      it.live(
        `fails where the work goes wrong: ${fault} in ${row}`,
        () =>
          Effect.gen(function*() {
            const ended = yield* bench([...tiny, ...only(row), "--json", "--fault", fault])
            assert.strictEqual(ended.code, 1)
            const [found] = rowsOf(ended)
            assert.strictEqual(found!.verdict, "failed")
            assert.match(found!.reason, /^Lost, repeated or out of order: of /)
            assert.deepStrictEqual(yield* remains(server, url, ended), [])
          }),
        60_000
      )
    }

    it.live("drops its databases when it is interrupted", () =>
      Effect.gen(function*() {
        const ended = yield* bench(["outbox", ...only("writers")], {
          interruptOn: (stderr) => stderr.includes("warm-up, with a relay")
        })
        assert.strictEqual(ended.code, 130)
        assert.strictEqual(ended.stdout, "")
        assert.deepStrictEqual(yield* remains(server, url, ended), [])
      }), 120_000)
  })
})
