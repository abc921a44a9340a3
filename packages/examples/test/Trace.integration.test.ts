/** The trace of a command through each broker. */
import { Endpoint } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { isConnected } from "./trace.ts"

const hint = "`npm run services -- up` finds or starts one."

for (
  const [broker, system, variable] of [
    ["rabbitmq", "rabbitmq", "EFFECT_CQRS_RABBITMQ_URL"],
    ["kafka", "kafka", "EFFECT_CQRS_KAFKA_BROKERS"]
  ] as const
) {
  Endpoint.suite(`a trace through ${broker}`, { describe, it, variable, hint }, () => {
    it.live("is one picture, from the command to its consumers", () => isConnected(broker, system), 60_000)
  })
}
