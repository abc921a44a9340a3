import { Compatibility, Contract, JsonSchemas } from "@effect-cqrs/contracts"
import { Command, Event } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { rooms } from "./rooms.ts"

type Given = Partial<Parameters<ReturnType<typeof Event.notification<any>>>[1]> & Record<string, unknown>

const base = { room: Schema.String, seats: Schema.Int, state: Schema.Literal("open", "closed") }

const contract = (given: Given = {}, role: "announces" | "consumes" = "announces") => {
  const Changed = Event.notification<object>()("changed", {
    topic: "rooms",
    payload: base,
    key: (event: any) => event.room,
    ...given
  } as never) as unknown as Event.ClassOf<Event.Integration>
  return Contract.make({
    title: "Rooms",
    version: "1",
    ...(role === "announces"
      ? { announces: [Changed] }
      : { consumers: [{ subscription: { group: "g" }, events: [Changed] }] })
  })
}

const compared = (before: Contract.Contract, after: Contract.Contract) =>
  Effect.map(
    Effect.all([JsonSchemas.make(before), JsonSchemas.make(after)]),
    ([old, today]) => Compatibility.compare(old, today)
  )

const told = (findings: ReadonlyArray<Compatibility.Finding>) =>
  findings.map(({ breaks, path, rule }) => `${rule} ${path}: ${breaks.join("+") || "harmless"}`)

const { room, seats, state } = base
const step = { payload: base, to: (old: any) => old }

describe("a changed event", () => {
  for (
    const [name, given, expected] of [
      ["that has not changed", {}, []],
      ["with a required field less", { version: 2, payload: { room, state } }, ["field-removed seats: consumers"]],
      ["with an optional field more", { payload: { ...base, note: Schema.optional(Schema.String) } }, [
        "field-added note: harmless"
      ]],
      ["with a required field more", { version: 2, payload: { ...base, floor: Schema.Int } }, [
        "field-added floor: producers"
      ]],
      [
        "with a required field more, and an upcast",
        { version: 2, payload: { ...base, floor: Schema.Int }, upcasts: { 1: step } },
        ["field-added floor: harmless"]
      ],
      ["with a required field that is optional now", {
        version: 2,
        payload: { ...base, seats: Schema.optional(Schema.Int) }
      }, [
        "optional-changed seats: consumers"
      ]],
      ["with a narrower type", { version: 2, payload: { ...base, room: Schema.NonEmptyString } }, [
        "bounds-changed room: producers"
      ]],
      ["with a wider type", { version: 2, payload: { ...base, seats: Schema.Number } }, [
        "type-changed seats: consumers"
      ]],
      ["with another type", { version: 2, payload: { ...base, seats: Schema.String } }, [
        "type-changed seats: consumers+producers"
      ]],
      ["with a value more", { version: 2, payload: { ...base, state: Schema.Literal("open", "closed", "full") } }, [
        "values-changed state: consumers"
      ]],
      ["with a value less", { version: 2, payload: { ...base, state: Schema.Literal("open") } }, [
        "values-changed state: producers"
      ]],
      ["with a field that has another name", {
        version: 2,
        payload: { roomId: room, seats, state },
        key: (event: any) => event.roomId
      }, [
        "field-removed room: consumers",
        "field-added roomId: producers",
        "key-changed : consumers"
      ]],
      ["that breaks something and has its old version", { payload: { room, state } }, [
        "field-removed seats: consumers",
        "version-not-raised : producers"
      ]],
      ["in another topic", { topic: "halls" }, ["topic-changed : consumers"]],
      ["with another key", { key: (event: any) => event.state }, ["key-changed : consumers"]],
      ["without a key", { key: undefined }, ["key-changed : consumers"]],
      ["with a key that is computed", { key: (event: any) => String(event.seats % 2) }, ["key-changed : harmless"]],
      ["whose upcast reads something else", {
        version: 2,
        payload: { ...base, floor: Schema.Int },
        upcasts: { 1: { payload: { ...base, floor: Schema.String }, to: (old: any) => old } }
      }, ["field-added floor: harmless", "upcast-changed floor: producers"]]
    ] as ReadonlyArray<[string, Given, ReadonlyArray<string>]>
  ) {
    it.effect(
      name,
      () =>
        Effect.map(compared(contract(), contract(given)), (found) => assert.deepStrictEqual(told(found), [...expected]))
    )
  }

  it.effect("that is read and announced elsewhere breaks what it cannot read, and no consumer", () =>
    Effect.map(
      compared(
        contract({}, "consumes"),
        contract({ version: 2, payload: { room: Schema.NonEmptyString, state } }, "consumes")
      ),
      (found) =>
        assert.deepStrictEqual(told(found), ["bounds-changed room: producers", "field-removed seats: harmless"])
    ))

  it.effect("whose version goes back, or whose upcast is taken away, is told", () =>
    Effect.gen(function*() {
      const second = contract({ version: 2, upcasts: { 1: step } })
      assert.deepStrictEqual(told(yield* compared(second, contract({ version: 2 }))), ["upcast-removed : producers"])
      assert.deepStrictEqual(told(yield* compared(second, contract())), [
        "version-lowered : consumers+producers",
        "upcast-removed : producers"
      ])
    }))
})

describe("a contract", () => {
  const empty = Contract.make({ title: "Rooms", version: "2" })

  it.effect("compared with itself has nothing to tell", () =>
    Effect.map(compared(rooms, rooms), (found) => assert.deepStrictEqual(found, [])))

  it.effect("without what it had breaks whoever reads, or asks", () =>
    Effect.map(
      compared(rooms, empty),
      (found) =>
        assert.deepStrictEqual(found.map(({ breaks, rule, subject }) => `${subject} ${rule} ${breaks.join()}`.trim()), [
          "room_changed event-removed consumers",
          "room_closed event-removed consumers",
          "room_moved event-removed",
          "Billing/CloseRoom request-removed producers",
          "JoinRoom request-removed producers",
          "ReadRoom request-removed producers",
          "audit consumer-removed",
          "views consumer-removed"
        ])
    ))

  it.effect("with more than it had is no harm", () =>
    Effect.map(compared(empty, rooms), (found) => assert.isFalse(found.some(Compatibility.isBreaking))))

  it.effect("has requests that take less, and answer more than they did", () =>
    Effect.gen(function*() {
      class Old extends Command.make<Old>()("Ask", { payload: { n: Schema.Number }, success: Schema.Int }) {}
      class Today extends Command.make<Today>()("Ask", { payload: { n: Schema.Int }, success: Schema.Number }) {}
      const of = (request: typeof Old | typeof Today) =>
        Contract.make({ title: "Ask", version: "1", handlers: [Contract.handler(request as typeof Old)] })
      assert.deepStrictEqual(told(yield* compared(of(Old), of(Today))), [
        "type-changed n: producers",
        "type-changed (success): consumers"
      ])
      assert.deepStrictEqual(told(yield* compared(of(Today), of(Old))), [])
    }))
})

describe("the report", () => {
  const found = compared(
    contract(),
    contract({ payload: { ...base, seats: Schema.String, note: Schema.optional(room) } })
  )

  it.effect("says what breaks first, for whom and what to do, as text", () =>
    Effect.map(found, (findings) =>
      assert.strictEqual(
        Compatibility.text(findings),
        `breaking  changed: seats has another type, string instead of integer: consumers that run today do not read it. Nor can what was announced before be read. Declare an upcast from version 1
breaking  changed has changed and is still version 1: raise it, so that old and new messages can be told apart
harmless  changed: note is new. Who does not know it leaves it unread
3 changed, 2 of them breaking.
`
      )))

  it.effect("as Markdown, whatever the names and values are", () =>
    Effect.map(found, (findings) => {
      const lines = Compatibility.markdown([{ ...findings[0]!, message: "a | b" }]).split("\n")
      assert.deepStrictEqual(lines, [
        "### Contract",
        "",
        "1 changed, 1 of them breaking.",
        "",
        "| | where | what | breaks |",
        "| --- | --- | --- | --- |",
        "| ⛔ | `changed: seats` | a \\| b | consumers, producers |",
        ""
      ])
    }))

  it("says so when nothing has changed", () => {
    assert.strictEqual(Compatibility.text([]), "The contract has not changed.\n")
    assert.strictEqual(Compatibility.markdown([]), "### Contract\n\nThe contract has not changed.\n")
  })
})
