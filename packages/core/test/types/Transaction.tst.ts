import * as Core from "@effect-cqrs/core"
import { Command, type Handler, Mediator, Middleware, Outbox, Transaction, type Transactor } from "@effect-cqrs/core"
import { Context, Effect, type Layer } from "effect"
import { describe, expect, it } from "tstyche"
import { CurrentUser, NotFound, roomClosed } from "./meetings.ts"

describe("C4: Transaction.run", () => {
  it("takes the transaction off, adds its failure, and asks for a transactor", () => {
    const effect = {} as Effect.Effect<number, NotFound, Transaction.Transaction | CurrentUser>
    expect(Transaction.run(effect)).type.toBe<
      Effect.Effect<number, NotFound | Transaction.TransactionError, CurrentUser | Transactor.Transactor>
    >()
    expect(Transaction.run(Transaction.run(effect))).type.toBe<
      Effect.Effect<number, NotFound | Transaction.TransactionError, CurrentUser | Transactor.Transactor>
    >()
    // @ts-expect-error Type 'Transactor' is not assignable to type 'never'
    Effect.runSync(Transaction.run(Outbox.add(roomClosed)))
  })

  it("is not there for what a hook would add to it", () => {
    const later = Effect.orDie(Outbox.add(roomClosed))
    // @ts-expect-error A hook runs after the transaction and asks for Transaction
    void Transaction.afterCommit(later)
    // @ts-expect-error A hook runs after the transaction and asks for Transaction
    void Transaction.afterRollback(later)
    expect(Transaction.afterCommit(Effect.orDie(Transaction.run(Outbox.add(roomClosed))))).type.toBe<
      Effect.Effect<void, Transaction.TransactionError, Transaction.Transaction | Transactor.Transactor>
    >()
  })

  it("is asked for by the hooks", () => {
    expect(Transaction.afterCommit(CurrentUser)).type.toBe<
      Effect.Effect<void, Transaction.TransactionError, Transaction.Transaction | CurrentUser>
    >()
    expect(Transaction.afterRollback(Effect.void)).type.toBe<
      Effect.Effect<void, Transaction.TransactionError, Transaction.Transaction>
    >()
    // @ts-expect-error Type 'Transaction' is not assignable to type 'never'
    Effect.runSync(Transaction.afterCommit(Effect.void))
    // @ts-expect-error Type 'NotFound' is not assignable to type 'never'
    void Transaction.afterCommit(new NotFound({ id: "" }))
  })
})

describe("C4: the transactional middleware", () => {
  it("adds its failure to send and itself to the handler's layer, which needs a transactor", () => {
    class Close extends Command.make<Close>()("Close", { middleware: [Transaction.Transactional] }) {}
    expect(Mediator.send(new Close())).type.toBe<
      Effect.Effect<void, Transaction.TransactionError, Handler.Handler<Close>>
    >()
    expect(Transaction.Transactional.layer).type.toBe<
      Layer.Layer<Transaction.Transactional, never, Transactor.Transactor>
    >()
    expect(Transaction.Transactional.layerWith({ isolation: "Serializable" })).type.toBe<
      Layer.Layer<Transaction.Transactional, never, Transactor.Transactor>
    >()
  })

  it("cannot be global", () => {
    // @ts-expect-error "The middleware Transactional may fail with TransactionError: global middleware adds no
    Middleware.layerGlobal(Transaction.Transactional)
  })
})

describe("C4: a transaction cannot be had otherwise", () => {
  it("its tag is not exported", () => {
    // @ts-expect-error Property 'Transaction' does not exist on type
    void Transaction.Transaction
    // @ts-expect-error Property 'Transaction' does not exist on type
    void new Transaction.Transaction()
    // @ts-expect-error Cannot find module '@effect-cqrs/core/internal/transaction'
    void import("@effect-cqrs/core/internal/transaction")
    // @ts-expect-error Property 'OpenTransaction' does not exist on type
    void Core.OpenTransaction
  })

  it("what Transactional provides can be neither made up nor looked into", () => {
    const tag = Transaction.Transactional.provides[0]!
    // @ts-expect-error Property '[sealed]' is missing in type '{}' but required in type 'Sealed'
    void Effect.provideService(Outbox.add(roomClosed), tag, {})
    // @ts-expect-error '[Transaction.TypeId]' does not exist in type 'Sealed'
    void Effect.provideService(Outbox.add(roomClosed), tag, { [Transaction.TypeId]: Transaction.TypeId })
    // @ts-expect-error Property 'journal' does not exist on type 'Sealed'
    void Effect.map(tag, (open) => open.journal)
  })

  it("an empty context has none", () => {
    // @ts-expect-error Transaction
    Effect.runSync(Effect.provide(Outbox.add(roomClosed), Context.empty()))
  })

  it("a transactor, which anybody may write, is not one", () => {
    const open = {} as Effect.Effect<string, Transaction.TransactionError, Transaction.Transaction>
    const { services } = {} as ReturnType<Transactor.Session["join"]>
    expect(Effect.provide(open, services)).type.toBe<typeof open>()
  })

  it("and a middleware of one's own that promises one must open it", () => {
    class Opening extends Middleware.make<Opening>()("Opening", {
      provides: Transaction.Transactional.provides,
      failure: Transaction.TransactionError
    }) {}
    // @ts-expect-error "The middleware Opening does not provide what it promises to its handlers"
    Middleware.layer(Opening, (next) => next)
    expect(Middleware.layer(Opening, (next) => Transaction.run(next))).type.toBe<
      Layer.Layer<Opening, never, Transactor.Transactor>
    >()
  })
})
