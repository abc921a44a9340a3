/** The command line of a program's own contract: `main.ts asyncapi --contract meetingRooms.ts --broker kafka`. */
import { command } from "@effect-cqrs/contracts/cli/ContractCommand"
import { Command } from "@effect/cli"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"

// #region command
const cli = Command.run(command, { name: "Contracts", version: "1.0.0" })

cli(process.argv).pipe(
  Effect.tapErrorTag("ContractCommandError", ({ message }) => Console.error(message)),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
// #endregion command
