import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Either, Stream } from "effect"
import { JoinRoom, RoomId, UserId } from "../src/meeting-rooms/Domain.ts"
import { fromLines, generate } from "../src/meeting-rooms/Input.ts"

const read = (text: string) =>
  Stream.make(new TextEncoder().encode(text)).pipe(fromLines, Stream.runCollect, Effect.map(Chunk.toReadonlyArray))

const reason = (line: string) =>
  Effect.map(read(line), ([order]) => order === undefined ? "nothing" : Either.isLeft(order) ? order.left : "an order")

describe("lines of commands", () => {
  it.effect("reads a command per line and skips empty lines", () =>
    Effect.gen(function*() {
      const orders = yield* read(`{"_tag":"JoinRoom","roomId":"blue","userId":"ada"}

{"_tag":"JoinRoom","roomId":"blue","userId":"ada","rollback":true}
`)
      const request = new JoinRoom({ roomId: RoomId.make("blue"), userId: UserId.make("ada") })
      assert.deepStrictEqual(orders, [
        Either.right({ request, rollback: false }),
        Either.right({ request, rollback: true })
      ])
    }))

  it.effect("says which line is malformed, and why", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* reason("\n{\"_tag\":\"CreateRoom\",\"roomId\":\"blue\",\"capacity\":0}"), {
        line: 2,
        reason: "capacity: Expected a number between 1 and 1000, actual 0"
      })
      assert.deepStrictEqual(yield* reason("{\"_tag\":\"JoinRoom\",\"roomId\":\"blue\"}"), {
        line: 1,
        reason: "userId: is missing"
      })
      assert.deepStrictEqual(yield* reason("{\"_tag\":\"ReadRoom\",\"roomId\":\"blue\",\"room\":\"blue\"}"), {
        line: 1,
        reason: "room: is unexpected, expected: \"_tag\" | \"roomId\""
      })
      assert.deepStrictEqual(yield* reason("{\"_tag\":\"PaintRoom\"}"), {
        line: 1,
        reason: "_tag: Expected one of CreateRoom, JoinRoom, LeaveRoom, CloseRoom, ReadRoom"
      })
      const long = yield* reason(`{"_tag":"ReadRoom","roomId":${JSON.stringify("\u001b[31m x".repeat(5_000))}}`)
      assert.isTrue(typeof long === "object" && "reason" in long)
      const text = (long as { readonly reason: string }).reason
      assert.strictEqual(text.length, 200)
      assert.notMatch(text, /\p{Cc}/u)
      const noJson = yield* reason("join blue")
      assert.match(JSON.stringify(noJson), /not valid JSON/)
    }))
})

describe("the generator", () => {
  it.effect("makes the same orders for the same seed, as many as asked for", () =>
    Effect.gen(function*() {
      const orders = (seed: number) => Stream.runCollect(generate({ commands: 200, rooms: 5, seed }))
      assert.strictEqual(Chunk.size(yield* orders(1)), 200)
      assert.deepStrictEqual(yield* orders(1), yield* orders(1))
      assert.notDeepEqual(yield* orders(1), yield* orders(2))
    }))
})
