import { BucketOwner, OutboxStorage, type Transactor } from "@effect-cqrs/core"
import { Fixtures } from "@effect-cqrs/testing"
import { SqlClient } from "@effect/sql"
import { assert, type Vitest } from "@effect/vitest"
import { DateTime, Effect, type Layer, type Scope } from "effect"
import { fill, layerStorage } from "./outbox.ts"
import { type Program, run, start } from "./program.ts"

/** With the program as a layer of the file's. */
type It = Pick<Vitest.MethodsNonLive<Program, true>, "effect">

type Services =
  | OutboxStorage.OutboxStorage
  | BucketOwner.BucketOwner
  | Transactor.Transactor
  | SqlClient.SqlClient
  | Program

/** A database of its own, by URL and by client. */
export interface Place {
  readonly url: string
  readonly client: Layer.Layer<SqlClient.SqlClient, unknown>
}

const poison = [
  { key: "blue", dead: "MESSAGE_TOO_LARGE" },
  { key: "blue" },
  { key: "red", dead: "MESSAGE_TOO_LARGE" },
  { key: "green", topic: "openings", dead: "bad \u001b[2J header" },
  { key: "pink", deferred: "not yet" }
]

/** What the program promises on a database of any kind. */
export const cases = (it: It, fresh: Effect.Effect<Place, unknown, Scope.Scope>) => {
  const test = (
    name: string,
    body: (
      place: Place & {
        readonly cli: (...args: ReadonlyArray<string>) => ReturnType<typeof run>
        readonly within: <A, E>(
          effect: Effect.Effect<A, E, Services>
        ) => Effect.Effect<A, unknown, Program>
      }
    ) => Effect.Effect<void, unknown, Program | Scope.Scope>
  ) =>
    it.effect(name, () =>
      Effect.scoped(Effect.flatMap(fresh, (place) =>
        body({
          ...place,
          cli: (...args) => run([...args, "--database", place.url]),
          within: (effect) => Effect.provide(effect, layerStorage(place.client))
        }))), 120_000)

  const json = (text: string) => JSON.parse(text)

  test("tables are planned, applied once, and then there is nothing to apply", ({ cli }) =>
    Effect.gen(function*() {
      const missing = yield* cli("outbox", "status")
      assert.strictEqual(missing.code, 4, missing.stderr)
      assert.match(missing.stderr, /^The table cqrs_migrations is missing: run `effect-cqrs migrate apply`/)
      const plan = yield* cli("migrate", "plan", "--json")
      assert.strictEqual(plan.code, 0, plan.stderr)
      assert.deepStrictEqual([json(plan.stdout).version, json(plan.stdout).outstanding.length], [0, 2])
      const asked = yield* cli("migrate", "apply")
      assert.strictEqual(asked.code, 6)
      assert.match(asked.stderr, /^Nothing was changed: .*Say --yes\n$/)
      const dry = yield* cli("migrate", "apply", "--dry-run")
      assert.strictEqual(dry.code, 0)
      assert.strictEqual(json((yield* cli("migrate", "plan", "--json")).stdout).version, 0)
      const applied = yield* cli("migrate", "apply", "--yes", "--json")
      assert.deepStrictEqual(json(applied.stdout).applied, ["1_create_tables", "2_create_idempotency"])
      assert.match((yield* cli("migrate", "apply", "--yes")).stdout, /There is nothing to apply/)
      const unused = yield* cli("outbox", "status")
      assert.strictEqual(unused.code, 4)
      assert.match(unused.stderr, /no program has started with them yet/)
    }))

  test("tables that are older or newer, or not whole, are a sentence and an exit code", ({ cli, within }) =>
    Effect.gen(function*() {
      const change = (statement: string) => within(Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)))
      yield* change("update cqrs_migrations set migration_id = 77 where migration_id = 2")
      for (const command of [["outbox", "status"], ["migrate", "plan"], ["migrate", "apply", "--yes"]]) {
        const newer = yield* cli(...command)
        assert.strictEqual(newer.code, 4, command.join(" "))
        assert.match(newer.stderr, /of version 77, newer than this program's 2: update/)
      }
      assert.strictEqual((yield* cli("doctor")).code, 1)
    }))

  test("the status says what is pending, dead, owned and suspended", ({ cli, within }) =>
    within(Effect.scoped(Effect.gen(function*() {
      yield* fill(poison)
      const { join } = yield* BucketOwner.BucketOwner
      const membership = yield* join
      yield* membership.report([{ topic: "rooms", reason: "no such topic", since: DateTime.unsafeMake(0) }])
      const status = yield* cli("outbox", "status", "--json", "--interval", "200 millis")
      assert.strictEqual(status.code, 0, status.stderr)
      const { at, oldestAgeMillis, rate, relays, topics, ...rest } = json(status.stdout)
      assert.match(at, /^\d{4}-.*Z$/)
      assert.isAtLeast(oldestAgeMillis, 0)
      assert.deepStrictEqual({ ...rate, overMillis: 0 }, { stored: 0, delivered: 0, overMillis: 0 })
      assert.deepStrictEqual(topics.map((one: { topic: string; pending: number }) => [one.topic, one.pending]), [
        ["rooms", 2]
      ])
      assert.deepStrictEqual(rest, {
        pending: 2,
        dead: 3,
        deadLetters: [
          { topic: "rooms", reason: "MESSAGE_TOO_LARGE", count: 2 },
          { topic: "openings", reason: "bad \u001b[2J header", count: 1 }
        ],
        buckets: 64,
        freeBuckets: 0,
        suspicions: []
      })
      const [{ leaseMillis, relay: _, ...relay }] = relays
      assert.isTrue(leaseMillis > 0 && leaseMillis <= 10_000)
      assert.deepStrictEqual(relay, {
        isAlive: true,
        buckets: 64,
        suspended: [{ topic: "rooms", reason: "no such topic", since: "1970-01-01T00:00:00.000Z" }]
      })
      const shown = yield* cli("outbox", "status")
      assert.match(shown.stdout, /pending +2, the oldest for/)
      assert.match(shown.stdout, /SUSPENDED +BY RELAY/)
      // what others have written does not move the cursor
      assert.notInclude(shown.stdout, "\u001b")
      assert.include(shown.stdout, "bad \\u001b[2J header")
    }))))

  test("what is pending or dead is listed and shown, its payload only when it is asked for", ({ cli, url, within }) =>
    Effect.gen(function*() {
      yield* within(fill(poison))
      const pending = yield* cli("outbox", "list", "--json")
      assert.deepStrictEqual(
        json(pending.stdout).map((one: Record<string, unknown>) => [one.key, one.state, one.attempts, one.reason]),
        [["blue", "pending", 0, null], ["pink", "deferred", 2, "not yet"]]
      )
      const dead = yield* cli("outbox", "list", "--dead", "--topic", "rooms", "--json")
      const letters = json(dead.stdout)
      assert.deepStrictEqual(letters.map((one: Record<string, unknown>) => one.key), ["blue", "red"])
      const { sequence } = letters[0]
      const show = (...args: ReadonlyArray<string>) => run(["outbox", "show", "--database", url, ...args])
      for (const args of [[sequence], ["--json", sequence]]) {
        const shown = yield* show(...args)
        assert.strictEqual(shown.code, 0, shown.stderr)
        assert.include(shown.stdout, "MESSAGE_TOO_LARGE")
        assert.notInclude(shown.stdout, "\"ada")
      }
      const asked = json((yield* show("--payload", "--json", sequence)).stdout)
      assert.deepStrictEqual(asked.payload, {
        contentType: "application/json",
        as: "text",
        content: "{\"roomId\":\"blue\",\"userId\":\"ada\"}"
      })
      assert.strictEqual((yield* show("99999")).code, 5)
      assert.strictEqual((yield* cli("outbox", "list", "--topic", "nothing")).code, 5)
      assert.strictEqual((yield* cli("outbox", "list", "--since", "2026-01-01")).code, 2)
    }))

  test("dead letters are redriven: a dry run, a refusal without consent, and then what is meant", ({ cli, within }) =>
    Effect.gen(function*() {
      yield* within(fill(poison))
      const dead = within(
        Effect.flatMap(OutboxStorage.OutboxStorage, ({ statistics }) => Effect.map(statistics, (all) => all.dead))
      )
      const dry = yield* cli("outbox", "redrive", "--topic", "rooms", "--dry-run", "--json")
      assert.deepStrictEqual(json(dry.stdout), {
        dryRun: true,
        matched: 2,
        letters: [{ topic: "rooms", reason: "MESSAGE_TOO_LARGE", count: 2 }],
        done: 0,
        kept: 0,
        problems: []
      })
      const asked = yield* cli("outbox", "redrive")
      assert.strictEqual(asked.code, 6)
      assert.match(asked.stderr, /^Nothing was changed/)
      assert.strictEqual(yield* dead, 3)
      const done = yield* cli("outbox", "redrive", "--topic", "rooms", "--yes", "--json")
      assert.strictEqual(done.code, 0, done.stderr)
      assert.strictEqual(json(done.stdout).done, 2)
      assert.strictEqual(yield* dead, 1)
      const again = yield* cli("outbox", "redrive", "--topic", "rooms", "--yes")
      assert.strictEqual(again.code, 5)
      assert.strictEqual(again.stderr, "No dead letter matches, and nothing was changed\n")
      const [{ sequence }] = json((yield* cli("outbox", "list", "--dead", "--json")).stdout)
      const both = yield* cli("outbox", "discard", "--sequence", sequence, "--topic", "rooms", "--yes")
      assert.strictEqual(both.code, 2)
      const discarded = yield* cli("outbox", "discard", "--sequence", sequence, "--sequence", "99999", "--yes")
      assert.match(discarded.stdout, /1 dead letter discarded\.\n$/)
      assert.strictEqual(yield* dead, 0)
    }))

  test("a redrive that is interrupted has done what it says, and the next one does the rest", ({ cli, url, within }) =>
    Effect.gen(function*() {
      const total = 6000
      yield* within(fill(Array.from({ length: total }, (_, n) => ({ key: `key ${n % 50}`, dead: "no" }))))
      const counted = within(Effect.flatMap(OutboxStorage.OutboxStorage, ({ statistics }) => statistics))
      const redrive = yield* start(["outbox", "redrive", "--yes", "--database", url])
      yield* within(Effect.gen(function*() {
        const { statistics } = yield* OutboxStorage.OutboxStorage
        yield* Fixtures.eventually("something is redriven", statistics, ({ dead }) => dead < total)
      }))
      redrive.child.kill("SIGINT")
      const { code, stderr } = yield* redrive.ended
      const { dead, pending } = yield* counted
      assert.strictEqual(dead + pending, total)
      if (code !== 0) {
        assert.strictEqual(code, 130, stderr)
        const [, done] = /^Interrupted after ([\d,]+) of 6,000: these are done\./m.exec(stderr) ?? assert.fail(stderr)
        const said = Number(done!.replace(",", ""))
        assert.isTrue(pending === said || pending === said + 500, `${pending} are pending, ${said} were said`)
        const rest = yield* cli("outbox", "redrive", "--yes", "--json")
        assert.strictEqual(json(rest.stdout).done, dead)
      }
      assert.isTrue(code === 130, "it had ended before it was interrupted")
      assert.deepStrictEqual(
        yield* Effect.map(counted, (all) => [all.dead, all.pending]),
        [0, total]
      )
    }))

  test("what is kept is purged by its age", ({ cli, within }) =>
    Effect.gen(function*() {
      yield* within(Effect.gen(function*() {
        yield* fill([{ key: "blue" }, { key: "red" }, { key: "green" }])
        const storage = yield* OutboxStorage.OutboxStorage
        const entries = yield* storage.backlog({ limit: 2 })
        yield* storage.settle(
          0n,
          entries.map(({ sequence }) => OutboxStorage.Settlement.Delivered({ sequence })),
          { keep: true }
        )
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe("update cqrs_outbox set bucket = bucket + 120 where bucket < -1000000")
      }))
      assert.strictEqual((yield* cli("outbox", "purge", "--older-than", "3 hours", "--yes")).code, 5)
      const dry = yield* cli("outbox", "purge", "--older-than", "1 hour", "--dry-run", "--json")
      assert.deepStrictEqual(json(dry.stdout), { dryRun: true, matched: 2, done: 0 })
      assert.strictEqual((yield* cli("outbox", "purge", "--older-than", "1 hour")).code, 6)
      const done = yield* cli("outbox", "purge", "--older-than", "1 hour", "--yes", "--json")
      assert.deepStrictEqual(json(done.stdout), { dryRun: false, matched: 2, done: 2 })
    }))

  test("the doctor looks at server, settings, tables, indexes and rights, and says what to do", ({ cli, within }) =>
    Effect.gen(function*() {
      yield* within(fill([{ key: "blue" }]))
      const before = yield* cli("doctor", "--json")
      const { findings } = json(before.stdout)
      const verdicts: Record<string, string> = Object.fromEntries(
        findings.map((one: { check: string; verdict: string }) => [one.check, one.verdict])
      )
      for (const check of ["server", "clocks", "tables", "indexes", "permissions"]) {
        assert.strictEqual(verdicts[check], "ok", before.stdout)
      }
      // an event waits, and nobody is there to publish it
      assert.strictEqual(verdicts.relays, "problem")
      assert.strictEqual(before.code, 1)
      assert.match(before.stderr, /problems? found\n$/)
      yield* within(Effect.flatMap(SqlClient.SqlClient, (sql) =>
        sql.unsafe(sql.onDialectOrElse({
          mysql: () => "alter table cqrs_inbox drop index cqrs_inbox_handled_at",
          orElse: () => "drop index cqrs_inbox_handled_at"
        }))))
      const after = yield* cli("doctor")
      assert.match(after.stdout, /indexes +problem +missing: cqrs_inbox_handled_at/)
      assert.match(after.stdout, /- indexes \(problem\): make them again/)
    }))

  test("whoever reads no further, as head does, ends it without a complaint", ({ cli, url, within }) =>
    Effect.gen(function*() {
      yield* cli("migrate", "apply", "--yes")
      yield* within(fill(poison))
      const { child, ended } = yield* start([
        "outbox",
        "watch",
        ...["--times", "600", "--interval", "100 millis", "--database", url]
      ])
      child.stdout!.once("data", () => child.stdout!.destroy())
      const { code, stderr } = yield* ended
      assert.deepStrictEqual({ code, stderr }, { code: 130, stderr: "" })
    }))

  test("watch prints a line, or a JSON value, for each reading where there is no terminal", ({ cli, within }) =>
    Effect.gen(function*() {
      yield* within(fill([{ key: "blue" }]))
      const lines = yield* cli("outbox", "watch", "--times", "2", "--interval", "100 millis")
      assert.match(lines.stdout, /^\S+ {2}pending 1 {2}oldest .*\n\S+ {2}pending 1 .* delivered 0\/s\n$/)
      const values = yield* cli("outbox", "watch", "--times", "2", "--interval", "100 millis", "--json")
      assert.deepStrictEqual(values.stdout.trim().split("\n").map((line) => json(line).pending), [1, 1])
    }))
}
