import { command as contract } from "@effect-cqrs/contracts/cli/ContractCommand"
import { consumer } from "./consumer.ts"
import { doctor } from "./doctor.ts"
import { migrate } from "./migrate.ts"
import { outbox } from "./outbox.ts"
import { relay } from "./relay.ts"

/** All of them. A new one is a file in `commands`, and a word here. */
export const commands = [migrate, outbox, consumer, relay, contract, doctor] as const
