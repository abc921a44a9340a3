import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Logger, Schema } from "effect"
import { Assignment, assignmentVariable } from "./protocol.ts"
import { relay } from "./relay.ts"
import { writer } from "./writer.ts"

/** One process of a test: a writer that ends when it is told to, or a relay that ends well on SIGTERM. */
const program = Effect.gen(function*() {
  const { role, target } = yield* Effect.flatMap(Config.string(assignmentVariable), Schema.decode(Assignment))
  yield* role._tag === "Writer" ? writer(target, role) : relay(target, role)
}).pipe(Effect.scoped)

NodeRuntime.runMain(
  Effect.provide(program, Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))),
  { disablePrettyLogger: true }
)
