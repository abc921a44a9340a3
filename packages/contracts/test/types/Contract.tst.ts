import { Contract } from "@effect-cqrs/contracts"
import { Command, Event, Query } from "@effect-cqrs/core"
import { Schema } from "effect"
import { describe, expect, it } from "tstyche"

class Join extends Command.make<Join>()("Join", { payload: { room: Schema.String } }) {}
class Read extends Query.make<Read>()("Read") {}
class Joined extends Event.domain<Joined>()("Joined") {}
class Changed extends Event.ecst<Changed>()("changed", { topic: "rooms" }) {}

describe("a handler of a contract", () => {
  it("adds what leaves the process, and emits anything", () => {
    expect(Contract.handler(Join, { adds: [Changed], emits: [Joined, Changed] })).type.toBe<Contract.Handled>()
    expect(Contract.handler(Read)).type.toBe<Contract.Handled>()
    expect(Contract.handler(Read, { emits: [Joined] })).type.toBe<Contract.Handled>()
    // @ts-expect-error is not assignable to type 'ClassOf<Integration>'
    Contract.handler(Join, { adds: [Joined] })
  })

  it("of a query adds nothing", () => {
    // @ts-expect-error "The query Read adds nothing to the outbox: a query does not write"
    Contract.handler(Read, { adds: [Changed] })
  })

  it("is one of a request", () => {
    // @ts-expect-error Argument of type 'typeof Changed' is not assignable
    Contract.handler(Changed, {})
  })
})

it("a consumer of a contract reads what leaves a process", () => {
  expect(Contract.make).type.toBeCallableWith({
    title: "Rooms",
    version: "1",
    consumers: [{ subscription: { group: "views" }, events: [Changed], inbox: true }]
  })
  Contract.make({
    title: "Rooms",
    version: "1",
    // @ts-expect-error is not assignable to type 'ClassOf<Integration>'
    consumers: [{ subscription: { group: "views" }, events: [Joined] }]
  })
})
