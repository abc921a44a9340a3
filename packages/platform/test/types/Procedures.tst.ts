import { Command, type Handler, Idempotency, Query } from "@effect-cqrs/core"
import { HealthApi, Procedures } from "@effect-cqrs/platform"
import { HttpApi } from "@effect/platform"
import type { RpcClient } from "@effect/rpc"
import { type Effect, Layer, Schema } from "effect"
import { describe, expect, it } from "tstyche"

class Full extends Schema.TaggedError<Full>()("Full", {}) {}

class Join extends Command.make<Join>()("Join", {
  payload: { room: Schema.String },
  failure: Full,
  middleware: [Idempotency.Idempotent]
}) {}

class Read extends Query.make<Read>()("Read", { payload: { room: Schema.String }, success: Schema.Number }) {}

const { layer } = Procedures.make(Join, Read)

type Group = ReturnType<typeof Procedures.make<readonly [typeof Join, typeof Read]>>["group"]

describe("procedures", () => {
  it("have the types of their requests", () => {
    const client = {} as RpcClient.FromGroup<Group>
    expect(client.Read(new Read({ room: "blue" }))).type.toBeAssignableTo<Effect.Effect<number, unknown>>()
    type Failure = Effect.Effect.Error<ReturnType<RpcClient.FromGroup<Group>["Join"]>>
    expect<Full>().type.toBeAssignableTo<Failure>()
    expect<Idempotency.IdempotencyError>().type.toBeAssignableTo<Failure>()
  })

  it("need the handler of each request", () => {
    expect(layer).type.toBeAssignableTo<Layer.Layer<any, never, Handler.Handler<Join> | Handler.Handler<Read>>>()
    expect<Layer.Layer.Context<typeof layer>>().type.toBe<Handler.Handler<Join> | Handler.Handler<Read>>()
  })

  it("are made of requests only", () => {
    expect(Procedures.make).type.not.toBeCallableWith(Full)
  })
})

describe("the answers for health", () => {
  it("are for an API that has the group", () => {
    Layer.isLayer(HealthApi.layer(HttpApi.make("rooms").add(HealthApi.group)))
    expect(HealthApi.layer).type.not.toBeCallableWith(HttpApi.make("rooms"))
  })
})
