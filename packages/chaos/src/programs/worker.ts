/** One process of a run: a writer that ends when it is told to, or a relay or a consumer that ends well on SIGTERM. */
import { NodeRuntime } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { Config, Effect, Layer, Logger, Random, Runtime, Schema } from "effect"
import { Assignment, variable } from "../Protocol.ts"
import { ConsumerOf } from "./Consumer.ts"
import { Broker, connections, Database, listen, say, Storage } from "./Parts.ts"
import { RelayOf } from "./Relay.ts"
import { writer } from "./Writer.ts"

/** Holds all connections of the pool for a time. */
const exhaust = (millis: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.all(
      Array.from({ length: connections }, () => Effect.scoped(Effect.zipRight(sql.reserve, Effect.sleep(millis)))),
      { concurrency: "unbounded", discard: true }
    ))

const work = ({ broker, role, seed, slot }: Assignment, isStopped: () => boolean) => {
  switch (role) {
    case "writer":
      return Effect.withRandom(writer(isStopped), Random.make(seed))
    case "relay":
      return Effect.zipRight(Layer.build(Layer.provide(RelayOf(slot), Broker(broker))), Effect.never)
    case "consumer":
      return Effect.zipRight(Layer.build(Layer.provide(ConsumerOf(slot), Broker(broker))), Effect.never)
  }
}

const program = Effect.gen(function*() {
  const assignment = yield* Effect.flatMap(Config.string(variable), Schema.decode(Assignment))
  let isStopped = false
  const working = Effect.gen(function*() {
    const run = Runtime.runFork(yield* Effect.runtime<SqlClient.SqlClient>())
    yield* listen((command) => {
      if (command._tag === "Stop") isStopped = true
      else run(Effect.ignoreLogged(exhaust(command.millis)))
    })
    say({ _tag: "Ready" })
    yield* work(assignment, () => isStopped)
  })
  yield* working.pipe(
    Effect.scoped,
    Effect.provide(Layer.provideMerge(Storage, Database(assignment.database)))
  )
})

program.pipe(
  Effect.tapErrorCause((cause) => Effect.logError("The process ends", cause)),
  Effect.provide(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))),
  NodeRuntime.runMain({ disableErrorReporting: true, disablePrettyLogger: true })
)
