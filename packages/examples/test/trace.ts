import { Mediator } from "@effect-cqrs/core"
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer, Logger } from "effect"
import { randomBytes } from "node:crypto"
import { tidied } from "../src/meeting-rooms/Brokers.ts"
import { CreateRoom, RoomId } from "../src/meeting-rooms/Domain.ts"
import { Program } from "../src/meeting-rooms/Program.ts"
import type { Setting } from "../src/meeting-rooms/Setting.ts"
import { exporter, Telemetry } from "../src/telemetry/Telemetry.ts"
import { isTold, lines, type Node, picture } from "../src/telemetry/Trace.ts"

const reached = (node: Node): ReadonlyArray<ReadableSpan> => [node.span, ...node.below.flatMap(reached)]

const attributesOf = (spans: ReadonlyArray<ReadableSpan>, name: string) => {
  const span = spans.find((one) => one.name === name)!
  return Object.fromEntries(Object.entries(span.attributes).filter(([key]) => key.startsWith("messaging.")))
}

/** One command through SQLite, the relay and a broker to its consumers: its spans are one picture. */
export const isConnected = (broker: Setting["broker"], system: string) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "trace-" })
    const setting: Setting = {
      database: "sqlite",
      broker,
      run: `trace_${randomBytes(4).toString("hex")}`,
      file: `${folder}/rooms.db`
    }
    yield* tidied(setting)
    const spans = new InMemorySpanExporter()
    const told = Effect.sync(() => spans.getFinishedSpans().filter(isTold))
    const ended = yield* Effect.gen(function*() {
      yield* Mediator.send(new CreateRoom({ roomId: RoomId.make("blue"), capacity: 3 }))
      return yield* Effect.repeat(Effect.delay(told, "50 millis"), {
        // a consumer may be done before the broker's acknowledgement has come
        until: (ended) =>
          ended.filter(({ name }) => name.startsWith("process ")).length === 2 &&
          ended.some(({ name }) => name.startsWith("send "))
      })
    }).pipe(Effect.provide(
      Program(setting).pipe(
        Layer.provideMerge(Telemetry(yield* exporter, new SimpleSpanProcessor(spans))),
        Layer.provide(Logger.remove(Logger.defaultLogger))
      )
    ))
    const root = picture(ended, ended.find(({ name }) => name === "Mediator.send CreateRoom")!)
    assert.deepStrictEqual(lines(root), [
      "Mediator.send CreateRoom [internal]",
      "  > handle CreateRoom [internal]",
      "    > create meeting_rooms [producer]",
      "      ~ send meeting_rooms [client]",
      "      ~ process meeting_rooms (audit) [consumer]",
      "        > handle note [internal]",
      "      ~ process meeting_rooms (room-views) [consumer]",
      "        > handle view [internal]"
    ])
    assert.sameMembers(reached(root).map(({ name }) => name), ended.map(({ name }) => name))
    const id = attributesOf(ended, "create meeting_rooms")["messaging.message.id"]
    const common = { "messaging.destination.name": "meeting_rooms", "messaging.message.id": id }
    assert.deepInclude(attributesOf(ended, "send meeting_rooms"), { ...common, "messaging.system": system })
    assert.deepInclude(attributesOf(ended, "process meeting_rooms"), { ...common, "messaging.system": system })
  }).pipe(Effect.scoped, Effect.provide(NodeContext.layer))
