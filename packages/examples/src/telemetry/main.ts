/**
 * The meeting rooms with telemetry: sends one command, and prints its trace and what Prometheus is told. `--svg FILE` draws
 * the trace; `--serve` goes on sending commands, and serves the metrics on port 9464.
 */
import { Mediator } from "@effect-cqrs/core"
import { Command, Options } from "@effect/cli"
import { FetchHttpClient, FileSystem, HttpClient } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Console, Effect, Layer, Option, Schedule } from "effect"
import { CreateRoom, JoinRoom, RoomId, UserId } from "../meeting-rooms/Domain.ts"
import { Program } from "../meeting-rooms/Program.ts"
import { exporter, serveMetrics, Telemetry } from "./Telemetry.ts"
import { isTold, lines, picture, svg } from "./Trace.ts"

const join = (roomId: string, userId: string) =>
  Mediator.send(new JoinRoom({ roomId: RoomId.make(roomId), userId: UserId.make(userId) }))

/** Commands for ever, some of which are refused. */
const traffic = Effect.iterate(0, {
  while: () => true,
  body: (n) =>
    Effect.gen(function*() {
      const roomId = RoomId.make(`room-${Math.floor(n / 5)}`)
      if (n % 5 === 0) yield* Effect.ignore(Mediator.send(new CreateRoom({ roomId, capacity: 3 })))
      yield* Effect.ignore(join(roomId, `user-${n}`))
      yield* Effect.sleep("200 millis")
      return n + 1
    })
})

/** The links of the spans of a kind: one for each message. */
const linked = (spans: ReadonlyArray<ReadableSpan>, operation: string): number =>
  spans.filter(({ name }) => name.startsWith(operation)).reduce((count, { links }) => count + links.length, 0)

/** The spans that have ended, once both consumers have handled the events of so many commands. */
const settled = (spans: InMemorySpanExporter, commands: number) =>
  Effect.repeat(
    Effect.delay(Effect.sync(() => spans.getFinishedSpans()), "50 millis"),
    {
      until: (ended) => linked(ended, "process ") >= 2 * commands && linked(ended, "send ") >= commands,
      schedule: Schedule.recurs(200)
    }
  ).pipe(Effect.zipRight(Effect.sync(() => spans.getFinishedSpans())))

/** The names and types of what is served. */
const scraped = (port: number) =>
  HttpClient.get(`http://127.0.0.1:${port}/metrics`).pipe(
    Effect.flatMap(({ text }) => text),
    Effect.map((text) => [...text.matchAll(/^# TYPE (cqrs_\w+ \w+)$/gm)].map(([, line]) => line!).sort())
  )

const command = Command.make("telemetry", {
  serve: Options.boolean("serve").pipe(
    Options.withDescription("Go on sending commands, and serve the metrics on port 9464")
  ),
  svg: Options.text("svg").pipe(Options.withDescription("A file to draw the trace in"), Options.optional)
}, ({ serve, svg: file }) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "telemetry-" })
    const spans = new InMemorySpanExporter()
    const metrics = yield* exporter
    const { port } = yield* serveMetrics(metrics, serve ? 9464 : 0)
    const Main = Program({ database: "sqlite", broker: "memory", run: "telemetry", file: `${folder}/rooms.db` }).pipe(
      Layer.provideMerge(Telemetry(metrics, ...(serve ? [] : [new SimpleSpanProcessor(spans)])))
    )
    if (serve) return yield* Effect.provide(traffic, Main)

    yield* Effect.gen(function*() {
      yield* Mediator.send(new CreateRoom({ roomId: RoomId.make("blue"), capacity: 3 }))
      yield* join("blue", "Ada")
      const ended = (yield* settled(spans, 2)).filter(isTold)
      const root = picture(ended, ended.find(({ name }) => name === "Mediator.send JoinRoom")!)
      yield* Console.log(lines(root).join("\n"))
      yield* Console.log(["", ...(yield* scraped(port))].join("\n"))
      if (Option.isSome(file)) yield* files.writeFileString(file.value, svg(root))
    }).pipe(Effect.provide(Main))
  }).pipe(Effect.scoped))

Command.run(command, { name: "Telemetry of the meeting rooms", version: "0.1.0" })(process.argv).pipe(
  Effect.provide(Layer.merge(NodeContext.layer, FetchHttpClient.layer)),
  NodeRuntime.runMain
)
