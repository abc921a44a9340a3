/** A RabbitMQ of the run's own. */
import { Effect } from "effect"
import { SettingError } from "../Setting.ts"
import type { BrokerServer } from "./Server.ts"

export const rabbitmq: Effect.Effect<BrokerServer, SettingError> = Effect.fail(new SettingError({ message: "not yet" }))
