/** The meeting rooms behind an HTTP server, with relay and consumers beside it. */
import { Health, Mediator, type Request } from "@effect-cqrs/core"
import { HealthApi, IdempotencyKey, Problem, Shutdown } from "@effect-cqrs/platform"
import { HttpApiBuilder, HttpApiSwagger } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { RpcSerialization, RpcServer } from "@effect/rpc"
import { type Duration, Layer } from "effect"
import { createServer } from "node:http"
import * as Domain from "../meeting-rooms/Domain.ts"
import { Program } from "../meeting-rooms/Program.ts"
import type { Setting } from "../meeting-rooms/Setting.ts"
import { Api, RoomProcedures } from "./Api.ts"

// #region handlers
/** Sends a command with the key of its request. */
const send = <R extends Request.Any>(request: R, headers: typeof IdempotencyKey.Headers.Type = {}) =>
  Mediator.send(request).pipe(IdempotencyKey.provide(headers["idempotency-key"]), Problem.answer)

const Rooms = HttpApiBuilder.group(Api, "rooms", (handlers) =>
  handlers
    .handle("create", ({ headers, payload }) => send(new Domain.CreateRoom(payload), headers))
    .handle("read", ({ path }) => send(new Domain.ReadRoom(path)))
    .handle("join", ({ headers, path, payload }) => send(new Domain.JoinRoom({ ...path, ...payload }), headers))
    .handle("leave", ({ headers, path }) => send(new Domain.LeaveRoom(path), headers))
    .handle("close", ({ headers, path }) => send(new Domain.CloseRoom(path), headers)))
// #endregion handlers

// #region rpc
const Rpc = RpcServer.layer(RoomProcedures.group).pipe(
  Layer.provide(RoomProcedures.layer),
  Layer.provide(RpcServer.layerProtocolHttp({ path: "/rpc", routerTag: HttpApiBuilder.Router })),
  Layer.provide(RpcSerialization.layerNdjson)
)
// #endregion rpc

export interface Options {
  readonly port: number
  readonly delay: Duration.DurationInput
  readonly grace: Duration.DurationInput
}

// #region server
export const Server = (setting: Setting, { delay, grace, port }: Options) => {
  const server = createServer()
  const Routes = Layer.mergeAll(
    HttpApiBuilder.api(Api).pipe(Layer.provide([Rooms, HealthApi.layer(Api)])),
    Rpc
  )
  const Serving = HttpApiBuilder.serve(Shutdown.middleware).pipe(
    Layer.provide(HttpApiSwagger.layer({ path: "/docs" })),
    Layer.provide(HttpApiBuilder.middlewareOpenApi({ path: "/openapi.json" })),
    Layer.provide(Routes),
    Layer.provideMerge(NodeHttpServer.layer(() => server, { port }))
  )
  // from the top: first it is not ready, then requests end, then consumers, relay and database
  return Shutdown.layer({ server, delay, grace }).pipe(
    Layer.provideMerge(Serving),
    Layer.provideMerge(Health.layer()),
    Layer.provideMerge(Program(setting))
  )
}
// #endregion server
