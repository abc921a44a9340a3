import { Contract, Flow } from "@effect-cqrs/contracts"
import { Event } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { JSDOM } from "jsdom"
import { rooms } from "./rooms.ts"

/** Mermaid asks for a document as soon as it is loaded. */
const mermaid = Effect.runSync(Effect.cached(Effect.promise(async () => {
  const { window } = new JSDOM("")
  Object.assign(globalThis, { window, document: window.document })
  return (await import("mermaid")).default
})))

const parsed = (text: string) => Effect.flatMap(mermaid, (tool) => Effect.promise(() => tool.parse(text)))

describe("the diagram", { timeout: 60_000 }, () => {
  it.effect("shows commands, their events, topics and consumers, and is what Mermaid reads", () =>
    Effect.gen(function*() {
      const text = Flow.mermaid(rooms)
      assert.strictEqual((yield* parsed(text)).diagramType, "flowchart-v2")
      assert.deepStrictEqual(
        text.split("\n").filter((line) => !line.includes("classDef")),
        [
          "flowchart LR",
          "  n0[\"JoinRoom\"]:::command",
          "  n1([\"room_changed\"]):::event",
          "  n2([\"UserJoined\"]):::domain",
          "  n3[\"Billing/CloseRoom\"]:::command",
          "  n4([\"room_closed\"]):::event",
          "  n5[(\"rooms\")]:::topic",
          "  n6[(\"notices\")]:::topic",
          "  n7[[\"views\"]]:::consumer",
          "  n8[[\"audit\"]]:::consumer",
          "  n0 --> n1",
          "  n0 -.-> n2",
          "  n3 --> n1",
          "  n3 --> n4",
          "  n1 --> n5",
          "  n4 --> n6",
          // room_moved is in this topic, too
          "  n5 -->|\"room_changed\"| n7",
          "  n5 --> n8",
          "  n6 --> n8",
          ""
        ]
      )
    }))

  it.effect.prop(
    "is read whatever the names are",
    [
      fc.fullUnicodeString({ minLength: 1 }).filter((name) => name.trim() !== ""),
      fc.constantFrom("end", "\"]", "a\nb", "`x`", "#;")
    ],
    ([name, odd]) =>
      Effect.gen(function*() {
        class Odd extends Event.notification<Odd>()(name, { topic: odd }) {}
        const contract = Contract.make({
          title: "Odd",
          version: "1",
          announces: [Odd],
          consumers: [{ subscription: { group: odd }, events: [Odd] }]
        })
        yield* parsed(Flow.mermaid(contract))
      }),
    { timeout: 60_000, fastCheck: { numRuns: 30 } }
  )
})

it("the text has a line for each way through", () => {
  assert.strictEqual(
    Flow.text(rooms),
    `JoinRoom → room_changed → rooms → views
JoinRoom → room_changed → rooms → audit
JoinRoom ⇢ UserJoined
Billing/CloseRoom → room_changed → rooms → views
Billing/CloseRoom → room_changed → rooms → audit
Billing/CloseRoom → room_closed → notices → audit
room_moved → rooms → audit
`
  )
})
