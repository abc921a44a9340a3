/** The meeting rooms, as their clients see them: over HTTP, and as procedures. */
import { HealthApi, IdempotencyKey, Problem, Procedures } from "@effect-cqrs/platform"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "@effect/platform"
import { Schema } from "effect"
import * as Domain from "../meeting-rooms/Domain.ts"

const roomId = HttpApiSchema.param("roomId", Domain.RoomId)
const userId = HttpApiSchema.param("userId", Domain.UserId)

// #region api
/** Each declared failure has its status; those that are nobody's declaration are problems. */
const Rooms = HttpApiGroup.make("rooms")
  .add(
    HttpApiEndpoint.post("create", "/rooms")
      .setHeaders(IdempotencyKey.Headers)
      .setPayload(Schema.Struct({ roomId: Domain.RoomId, capacity: Domain.CreateRoom.fields.capacity }))
      .addSuccess(Schema.Void, { status: 201 })
      .addError(Domain.RoomExists, { status: 409 })
  )
  .add(
    HttpApiEndpoint.get("read")`/rooms/${roomId}`
      .addSuccess(Domain.RoomView)
      .addError(Domain.RoomNotFound, { status: 404 })
  )
  .add(
    HttpApiEndpoint.post("join")`/rooms/${roomId}/members`
      .setHeaders(IdempotencyKey.Headers)
      .setPayload(Schema.Struct({ userId: Domain.UserId }))
      .addError(Domain.RoomNotFound, { status: 404 })
      .addError(Domain.RoomIsClosed, { status: 409 })
      .addError(Domain.RoomFull, { status: 409 })
      .addError(Domain.AlreadyInRoom, { status: 409 })
  )
  .add(
    HttpApiEndpoint.del("leave")`/rooms/${roomId}/members/${userId}`
      .setHeaders(IdempotencyKey.Headers)
      .addError(Domain.RoomNotFound, { status: 404 })
      .addError(Domain.NotInRoom, { status: 404 })
  )
  .add(
    HttpApiEndpoint.post("close")`/rooms/${roomId}/close`
      .setHeaders(IdempotencyKey.Headers)
      .addError(Domain.RoomNotFound, { status: 404 })
      .addError(Domain.RoomIsClosed, { status: 409 })
  )
  .addError(Problem.Problem)

export const Api = HttpApi.make("meeting-rooms")
  .add(Rooms)
  .add(HealthApi.group)
  .annotate(OpenApi.Title, "Meeting rooms")
// #endregion api

// #region procedures
/** The same commands for programs that have these types: a request's class is all there is to a procedure. */
export const RoomProcedures = Procedures.make(
  Domain.CreateRoom,
  Domain.JoinRoom,
  Domain.LeaveRoom,
  Domain.CloseRoom,
  Domain.ReadRoom
)
// #endregion procedures
