/**
 * Serves the meeting rooms until it is told to end: `PORT` (8080), `DATABASE`, `BROKER`, `RUN` and `FILE` as the options of
 * the demo, `SHUTDOWN_DELAY` (5 seconds). Says where it listens on standard output.
 */
import { HttpServer } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Logger, LogLevel } from "effect"
import { brokers, databases, type Setting } from "../meeting-rooms/Setting.ts"
import { Server } from "./Server.ts"

const config = Config.all({
  port: Config.withDefault(Config.integer("PORT"), 8080),
  delay: Config.withDefault(Config.duration("SHUTDOWN_DELAY"), "5 seconds"),
  database: Config.withDefault(Config.literal(...databases)("DATABASE"), "sqlite" as const),
  broker: Config.withDefault(Config.literal(...brokers)("BROKER"), "memory" as const),
  run: Config.withDefault(Config.string("RUN"), "web"),
  file: Config.withDefault(Config.string("FILE"), ":memory:")
})

const Main = Layer.unwrapEffect(
  Effect.map(
    config,
    ({ delay, port, ...setting }) =>
      Layer.effectDiscard(HttpServer.addressFormattedWith((address) => Console.log(`listening on ${address}`))).pipe(
        Layer.provide(Server(setting satisfies Setting, { port, delay, grace: "10 seconds" }))
      )
  )
)

Layer.launch(Main).pipe(
  Logger.withMinimumLogLevel(LogLevel.Warning),
  Effect.provide(
    Layer.mergeAll(NodeContext.layer, Logger.replace(Logger.defaultLogger, Logger.prettyLogger({ stderr: true })))
  ),
  NodeRuntime.runMain({ disablePrettyLogger: true })
)
