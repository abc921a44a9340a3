/** A client's tour of the server, over real HTTP: what it is answered, one line each. */
import { FetchHttpClient, HttpClient, HttpClientRequest, type HttpClientResponse, HttpServer } from "@effect/platform"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { Console, Effect, Layer, Logger, LogLevel } from "effect"
import * as Domain from "../meeting-rooms/Domain.ts"
import { RoomProcedures } from "./Api.ts"
import { Server } from "./Server.ts"

const line = (what: string, response: HttpClientResponse.HttpClientResponse) =>
  Effect.flatMap(response.text, (body) => {
    const replayed = response.headers["idempotency-replayed"] === undefined ? "" : ", replayed"
    return Console.log(`${what.padEnd(34)}${response.status}${replayed} ${body}`.trimEnd())
  })

const tour = Effect.gen(function*() {
  const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const client = HttpClient.mapRequest(yield* HttpClient.HttpClient, HttpClientRequest.prependUrl(url))

  // #region keys
  const join = (userId: string, key: string) =>
    HttpClientRequest.post("/rooms/blue/members").pipe(
      HttpClientRequest.setHeader("idempotency-key", `"${key}"`),
      HttpClientRequest.bodyUnsafeJson({ userId }),
      client.execute
    )
  // #endregion keys

  const create = HttpClientRequest.post("/rooms").pipe(
    HttpClientRequest.bodyUnsafeJson({ roomId: "blue", capacity: 2 }),
    client.execute
  )
  yield* Effect.flatMap(create, (response) => line("create blue, of two", response))
  yield* Effect.flatMap(join("ada", "key-1"), (response) => line("ada joins", response))
  yield* Effect.flatMap(join("ada", "key-1"), (response) => line("the same once more", response))
  yield* Effect.flatMap(join("grace", "key-1"), (response) => line("grace, with ada's key", response))
  yield* Effect.flatMap(join("grace", "key-2"), (response) => line("grace, with her own", response))
  yield* Effect.flatMap(join("linus", "key-3"), (response) => line("linus", response))
  yield* Effect.flatMap(join("linus", "key-3"), (response) => line("linus, the same once more", response))
  yield* Effect.flatMap(client.get("/rooms/blue"), (response) => line("read blue", response))
  yield* Effect.flatMap(client.get("/rooms/red"), (response) => line("read red", response))
  yield* Effect.flatMap(client.get("/health/ready"), ({ status }) => Console.log(`${"ready".padEnd(34)}${status}`))

  // #region rpc
  const rooms = yield* RpcClient.make(RoomProcedures.group).pipe(
    Effect.provide(RpcClient.layerProtocolHttp({ url: `${url}/rpc` }))
  )
  const left = rooms.LeaveRoom(
    new Domain.LeaveRoom({ roomId: Domain.RoomId.make("blue"), userId: Domain.UserId.make("ada") })
  )
  yield* RpcClient.withHeaders(left, { "idempotency-key": "key-4" })
  yield* RpcClient.withHeaders(left, { "idempotency-key": "key-4" })
  // #endregion rpc
  const { members } = yield* rooms.ReadRoom(new Domain.ReadRoom({ roomId: Domain.RoomId.make("blue") }))
  yield* Console.log(`${"ada leaves, by rpc, twice".padEnd(34)}${members} member`)
})

await Effect.runPromise(
  tour.pipe(
    Effect.scoped,
    Effect.provide(Layer.mergeAll(
      Server(
        { run: "tour", database: "sqlite", broker: "memory", file: ":memory:" },
        { port: 0, delay: 0, grace: "5 seconds" }
      ),
      FetchHttpClient.layer,
      RpcSerialization.layerNdjson
    )),
    Logger.withMinimumLogLevel(LogLevel.Warning)
  )
)
