/** The meeting rooms over real HTTP, on embedded SQLite. */
import { Health, OutboxStorage, Relay } from "@effect-cqrs/core"
import { FetchHttpClient, FileSystem, HttpServer } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { SqlClient } from "@effect/sql"
import { assert, describe, it } from "@effect/vitest"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Cause, Effect, Exit, Layer, Logger, Option } from "effect"
import { RoomProcedures } from "../src/meeting-rooms-web/Api.ts"
import { Server } from "../src/meeting-rooms-web/Server.ts"
import * as Domain from "../src/meeting-rooms/Domain.ts"
import { Ledger } from "../src/meeting-rooms/Ledger.ts"
import { Database } from "../src/meeting-rooms/Setting.ts"
import { ask, create, join, patiently } from "./web.ts"

const quiet = Logger.remove(Logger.defaultLogger)

/** The server, and a client of its own on its database. */
const Web = Layer.unwrapScoped(Effect.map(
  Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped({ prefix: "meeting-rooms-" })),
  (folder) => {
    const setting = { run: "test", database: "sqlite", broker: "memory", file: `${folder}/rooms.db` } as const
    return Server(setting, { port: 0, delay: "100 millis", grace: "5 seconds" }).pipe(
      Layer.provideMerge(Layer.fresh(Database(setting))),
      Layer.provide(quiet)
    )
  }
)).pipe(Layer.provide(NodeFileSystem.layer))

const url = HttpServer.addressFormattedWith(Effect.succeed)

const roomId = Domain.RoomId.make("blue")

/** Waits for the relay and the consumer, then lets the ledger judge. */
const judged = Effect.gen(function*() {
  const ledger = yield* Ledger
  const relay = yield* Relay.Relay
  while (true) {
    yield* relay.drain
    const judgement = yield* ledger.judge
    if (judgement.lost === 0) return judgement
    yield* Effect.sleep("10 millis")
  }
})

const rows = (table: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<{ n: number }>(`select count(*) as n from ${table}`)).pipe(
    Effect.map(([row]) => Number(row!.n))
  )

describe("the meeting rooms over HTTP", () => {
  it.scopedLive("answer each request with the status of what became of it", () =>
    Effect.gen(function*() {
      const at = yield* url
      assert.deepStrictEqual(yield* ask(at, "GET", "/rooms/blue"), {
        status: 404,
        type: "application/json",
        body: { _tag: "RoomNotFound", roomId: "blue" },
        headers: {}
      })
      assert.include(yield* create(at, "blue", 1), { status: 201 })
      assert.include(yield* create(at, "blue", 1), { status: 409 })
      assert.deepInclude(yield* create(at, "red", 0), { status: 400 })
      assert.deepInclude(yield* join(at, "blue", "ada"), { status: 204, body: undefined })
      assert.deepInclude(yield* join(at, "blue", "ada"), {
        status: 409,
        body: { _tag: "RoomFull", roomId: "blue", capacity: 1 }
      })
      assert.deepInclude(yield* join(at, "red", "ada"), { status: 404, body: { _tag: "RoomNotFound", roomId: "red" } })
      assert.include(yield* ask(at, "DELETE", "/rooms/blue/members/ada"), { status: 204 })
      assert.deepInclude(yield* ask(at, "DELETE", "/rooms/blue/members/ada"), {
        status: 404,
        body: { _tag: "NotInRoom", roomId: "blue", userId: "ada" }
      })
      assert.include(yield* ask(at, "POST", "/rooms/blue/close"), { status: 204 })
      assert.deepInclude(yield* ask(at, "POST", "/rooms/blue/close"), {
        status: 409,
        body: { _tag: "RoomIsClosed", roomId: "blue" }
      })
      assert.deepInclude(yield* ask(at, "GET", "/rooms/blue"), {
        status: 200,
        body: { roomId: "blue", capacity: 1, members: 0, open: false, version: 4 }
      })
      assert.include(yield* ask(at, "GET", "/nowhere"), { status: 404 })
    }).pipe(Effect.provide(Web)))

  it.scopedLive("run a command once per idempotency key, and say so", () =>
    Effect.gen(function*() {
      const at = yield* url
      yield* create(at, "blue", 1)
      const first = yield* join(at, "blue", "ada", "a")
      assert.include(first, { status: 204 })
      // quoted as the draft has it, or bare: the same key
      for (const key of ["a", "\"a\""]) {
        assert.deepInclude(yield* join(at, "blue", "ada", key), {
          status: 204,
          headers: { "idempotency-replayed": "true" }
        })
      }
      const refused = yield* join(at, "blue", "grace", "b")
      assert.include(refused, { status: 409 })
      yield* ask(at, "DELETE", "/rooms/blue/members/ada")
      // there is a place now: a refusal is an answer, too
      assert.deepStrictEqual(yield* join(at, "blue", "grace", "b"), {
        ...refused,
        headers: { "idempotency-replayed": "true" }
      })
      assert.include(yield* join(at, "blue", "grace", "c"), { status: 204 })
      for (const body of [yield* join(at, "blue", "linus", "c"), yield* create(at, "blue", 1, "c")]) {
        assert.include(body, { status: 422, type: "application/problem+json" })
        assert.include(body.body, { _tag: "KeyReused", status: 422 })
      }
      for (const key of ["", "\"", "ä", "x".repeat(256), "two words"]) {
        assert.include(yield* join(at, "blue", "linus", key), { status: 400 }, key)
      }
    }).pipe(Effect.provide(Web)))

  it.scopedLive("tell nothing of what went wrong inside", () =>
    Effect.gen(function*() {
      const at = yield* url
      const sql = yield* SqlClient.SqlClient
      yield* create(at, "blue", 1)
      yield* sql.unsafe(
        "create trigger sabotage before insert on members begin select raise(abort, 'the secret is 42'); end"
      )
      const answer = yield* join(at, "blue", "ada", "a")
      assert.include(answer, { status: 500, type: "application/problem+json" })
      assert.notMatch(JSON.stringify(answer), /secret|SqlError|SQLITE|node_modules/)
      yield* sql`drop trigger sabotage`
      // what went wrong is no answer: the same key may try again
      const again = yield* join(at, "blue", "ada", "a")
      assert.include(again, { status: 204 }, JSON.stringify(again))
    }).pipe(Effect.provide(Web)))

  it.scopedLive("describe themselves in a valid OpenAPI document, with each status, and in pages", () =>
    Effect.gen(function*() {
      const at = yield* url
      const { body, status } = yield* ask(at, "GET", "/openapi.json")
      assert.strictEqual(status, 200)
      const validator = new Validator()
      const { errors, valid } = yield* Effect.promise(() => validator.validate(body as Record<string, unknown>))
      assert.isTrue(valid, JSON.stringify(errors))
      const { paths } = body as { readonly paths: Record<string, Record<string, { readonly responses: object }>> }
      assert.deepStrictEqual(Object.keys(paths["/rooms/{roomId}/members"]!["post"]!.responses), [
        "204",
        "400",
        "404",
        "409",
        "422",
        "500",
        "503"
      ])
      assert.deepStrictEqual(Object.keys(paths["/health/ready"]!["get"]!.responses).sort(), ["200", "400", "503"])
      assert.include(JSON.stringify(paths["/rooms"]!["post"]), "idempotency-key")
      assert.include(yield* ask(at, "GET", "/docs"), { status: 200 })
    }).pipe(Effect.provide(Web)))

  it.scopedLive("are the same commands as procedures, keys among them, and tell as little", () =>
    Effect.gen(function*() {
      const at = yield* url
      yield* create(at, "blue", 1)
      const client = yield* RpcClient.make(RoomProcedures.group).pipe(
        Effect.provide(RpcClient.layerProtocolHttp({ url: `${at}/rpc` }))
      )
      const join = (user: string) => client.JoinRoom(new Domain.JoinRoom({ roomId, userId: Domain.UserId.make(user) }))
      const withKey = (key: string) => RpcClient.withHeaders({ "idempotency-key": key })
      yield* withKey("a")(join("ada"))
      yield* withKey("a")(join("ada"))
      const taken = yield* Effect.flip(withKey("a")(join("grace")))
      assert.include(taken, { _tag: "IdempotencyError", reason: "Mismatch" })
      assert.include(yield* Effect.flip(withKey("two words")(join("grace"))), { reason: "Unusable" })
      assert.deepStrictEqual<unknown>(yield* Effect.flip(join("grace")), new Domain.RoomFull({ roomId, capacity: 1 }))
      assert.strictEqual((yield* client.ReadRoom(new Domain.ReadRoom({ roomId }))).members, 1)
      const sql = yield* SqlClient.SqlClient
      yield* sql.unsafe(
        "create trigger sabotage before insert on members begin select raise(abort, 'the secret is 42'); end"
      )
      yield* ask(at, "DELETE", "/rooms/blue/members/ada")
      const died = yield* Effect.exit(join("linus"))
      assert.isTrue(Exit.isFailure(died) && Option.isSome(Cause.dieOption(died.cause)))
      assert.notMatch(JSON.stringify(died), /secret|SqlError/)
    }).pipe(Effect.provide(Web), Effect.provide([FetchHttpClient.layer, RpcSerialization.layerNdjson])))

  it.scopedLive("know what they depend on", () =>
    Effect.gen(function*() {
      const at = yield* url
      const ready = yield* ask(at, "GET", "/health/ready")
      assert.include(ready, { status: 200 })
      assert.sameMembers(Object.keys((ready.body as Health.Report).checks), ["database", "broker", "relay"])
      assert.include(yield* ask(at, "GET", "/health/live"), { status: 200 })
      yield* Effect.flatMap(Health.Health, (health) => health.drain)
      assert.deepInclude(yield* ask(at, "GET", "/health/ready"), {
        status: 503,
        body: { status: "down", reason: "The program is shutting down", checks: {} }
      })
      // whoever has not noticed yet is served, and let go
      assert.deepInclude(yield* create(at, "blue", 1), { status: 201, headers: { connection: "close" } })
    }).pipe(Effect.provide(Web)))

  it.scopedLive("under load with repeated keys do each command once, and lose no event", () =>
    Effect.gen(function*() {
      const at = yield* url
      const clients = 300
      for (let room = 0; room < 10; room++) yield* create(at, `room-${room}`, 20)
      const answers = yield* Effect.forEach(
        Array.from({ length: clients }, (_, n) => n),
        (n) =>
          // three times at once, with one key
          Effect.all(
            Array.from({ length: 3 }, () => patiently(join(at, `room-${n % 10}`, `user-${n}`, `key-${n}`))),
            { concurrency: "unbounded" }
          ),
        { concurrency: "unbounded" }
      )
      for (const three of answers) {
        const [first] = three
        for (const one of three) assert.deepStrictEqual([one.status, one.body], [first!.status, first!.body])
      }
      const joined = answers.filter(([first]) => first!.status === 204).length
      const full = answers.filter(([first]) => first!.status === 409).length
      assert.deepStrictEqual([joined, full], [200, 100])
      assert.strictEqual(yield* rows("members"), 200)
      assert.deepStrictEqual(yield* judged, {
        committed: 210,
        delivered: 210,
        duplicates: 0,
        lost: 0,
        phantom: 0,
        outOfOrder: 0
      })
      assert.strictEqual((yield* Effect.flatMap(OutboxStorage.OutboxStorage, (outbox) => outbox.statistics)).pending, 0)
    }).pipe(Effect.provide(Web)), 90_000)

  it.scopedLive("end so that what was taken is answered, and nothing is taken any more", () =>
    Effect.gen(function*() {
      const at = yield* Effect.provide(url, yield* Layer.build(Web))
      yield* create(at, "blue", 1000)
      const answers: Array<number> = []
      const users = yield* Effect.forkDaemon(Effect.forEach(
        Array.from({ length: 20 }, (_, n) => n),
        (user) =>
          Effect.gen(function*() {
            for (let n = 0;; n++) answers.push((yield* join(at, "blue", `user-${user}-${n}`)).status)
          }).pipe(Effect.ignore),
        { concurrency: "unbounded", discard: true }
      ))
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => answers.length > 100 })
      return { answers, users }
    }).pipe(
      Effect.scoped,
      Effect.flatMap(({ answers, users }) =>
        Effect.gen(function*() {
          // the server is gone: each client has met a refused connection, and before it nothing but answers
          yield* Effect.timeoutFail(users, { duration: "5 seconds", onTimeout: () => "still served" })
          assert.deepStrictEqual(new Set(answers), new Set([204]))
        })
      )
    ), 20_000)
})
