import { Mediator } from "@effect-cqrs/core"
import { Effect, type Layer } from "effect"
import { describe, it } from "tstyche"
import * as Domain from "../../src/meeting-rooms/Domain.ts"
import type { JoinRoomHandler, OtherHandlers } from "../../src/meeting-rooms/Handlers.ts"

type Provides<L> = L extends Layer.Layer<infer A, infer _E, infer _R> ? A : never

const program = Mediator.send(new Domain.JoinRoom({ roomId: Domain.RoomId.make("a"), userId: Domain.UserId.make("b") }))

describe("the meeting rooms", () => {
  it("do not compile without the layer of a handler, and the message names its request", () => {
    const others = {} as Layer.Layer<Provides<typeof OtherHandlers>>
    // @ts-expect-error Type 'Handler<JoinRoom>' is not assignable to type 'never'
    Effect.runSync(Effect.provide(program, others))
  })

  it("compile with it", () => {
    Effect.runSync(Effect.provide(program, {} as Layer.Layer<Provides<typeof JoinRoomHandler>>))
  })
})
