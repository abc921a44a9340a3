import type { Mediator, Transaction } from "@effect-cqrs/core"
import { Command, Handler, Idempotency, Outbox, Query } from "@effect-cqrs/core"
import { Effect, Schema } from "effect"
import { describe, expect, it } from "tstyche"

class Full extends Schema.TaggedError<Full>()("Full", {}) {}

class Join extends Command.make<Join>()("Join", { failure: Full, middleware: [Idempotency.Idempotent] }) {}

describe("a command with the middleware Idempotent", () => {
  it("may fail with what a transaction and its key may fail with", () => {
    expect<Effect.Effect.Error<ReturnType<typeof Mediator.send<Join>>>>().type.toBe<
      Full | Transaction.TransactionError | Idempotency.IdempotencyError
    >()
  })

  it("has a handler that may announce events", () => {
    const handler = Handler.layer(Join, () => Effect.asVoid(Outbox.add({} as never)))
    expect(handler).type.not.toBeAssignableTo<never>()
  })

  it("is no query", () => {
    class Read extends Query.make<Read>()("Read", {}) {}
    expect(Read).type.not.toBeAssignableTo<never>()
    expect(Query.make<Read>()("Read", { middleware: [Idempotency.Idempotent] })).type.toBe<
      "The middleware Idempotent cannot wrap the query Read: it is for a command"
    >()
  })

  it("gives nobody a transaction to make up", () => {
    expect<(typeof Idempotency.Idempotent.provides)[0]["Service"]>().type.not.toBeAssignableFrom<object>()
  })
})
