import {
  Bootstrap,
  type Broker,
  Handler,
  Mediator,
  type OutboxStorage,
  type Relay,
  type Transaction
} from "@effect-cqrs/core"
import { type ConfigError, Effect, type Layer } from "effect"
import { describe, expect, it } from "tstyche"
import type { Mailer, NotFound, Unauthorized } from "./meetings.ts"
import { LeaveMeeting, leaveMeeting } from "./meetings.ts"

type Failure = Relay.RelayError | OutboxStorage.StorageError

describe("the whole in one call", () => {
  it("needs nothing without options", () => {
    expect(Bootstrap.layer()).type.toBe<Layer.Layer<Bootstrap.Services, Failure>>()
    expect(Bootstrap.layerConfig()).type.toBe<Layer.Layer<Bootstrap.Services, Failure | ConfigError.ConfigError>>()
    expect<Bootstrap.Services>().type.toBeAssignableFrom<Transaction.Transactional | Broker.Broker>()
  })

  it("needs and fails with what its parts do", () => {
    const storage = {} as Layer.Layer<Bootstrap.Storage, NotFound, Mailer>
    const broker = {} as Layer.Layer<Broker.Broker, Unauthorized>
    expect(Bootstrap.layer({ storage, broker })).type.toBe<
      Layer.Layer<Bootstrap.Services, Failure | NotFound | Unauthorized, Mailer>
    >()
  })

  it("and does not stand in for a handler", () => {
    // @ts-expect-error Handler<LeaveMeeting>
    void Effect.runPromise(Effect.provide(Mediator.send(leaveMeeting), Bootstrap.layer()))
    expect(
      Mediator.send(leaveMeeting).pipe(
        Effect.provide(Handler.layer(LeaveMeeting, () => Effect.void)),
        Effect.provide(Bootstrap.layer())
      )
    ).type.toBe<Effect.Effect<void, Failure>>()
  })
})
