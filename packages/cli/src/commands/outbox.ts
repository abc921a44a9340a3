/** `effect-cqrs outbox`: what waits, what is dead, and what is kept. */
import * as Command from "@effect/cli/Command"
import { discard, redrive } from "./outbox/letters.ts"
import { list } from "./outbox/list.ts"
import { purge } from "./outbox/purge.ts"
import { show } from "./outbox/show.ts"
import { status } from "./outbox/status.ts"
import { watch } from "./outbox/watch.ts"

export const outbox = Command.make("outbox").pipe(
  Command.withDescription("The outbox: what waits, what is dead, who works on it"),
  Command.withSubcommands([status, watch, list, show, redrive, discard, purge])
)
