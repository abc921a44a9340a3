import { Inbox, type OutboxStorage, type Transaction, type Transactor } from "@effect-cqrs/core"
import type { Effect } from "effect"
import { describe, expect, it } from "tstyche"

const key: Inbox.Key = { consumer: "c", handler: "h", source: "/s", messageId: "1" }
const effect = {} as Effect.Effect<number, "failed", Transaction.Transaction | "service">

type Services = "service" | Transactor.Transactor | Inbox.InboxStorage
type Errors = "failed" | Transaction.TransactionError | OutboxStorage.StorageError

describe("Inbox.process", () => {
  it("provides the transaction, and fails as the effect, the transaction or the storage does", () => {
    expect(Inbox.process(key, effect)).type.toBe<Effect.Effect<Inbox.Processed<number>, Errors, Services>>()
    expect(Inbox.process(key, effect, { isolation: "Serializable" })).type.toBe<
      Effect.Effect<Inbox.Processed<number>, Errors, Services>
    >()
  })

  it("may suspect the message if it is told to be careful, and only then", () => {
    expect(Inbox.process(key, effect, { careful: { incarnation: "1", isAlone: true } })).type.toBe<
      Effect.Effect<Inbox.Processed<number>, Errors | Inbox.InboxError, Services>
    >()
  })
})
