import * as Effect from "effect/Effect"
import { Broker } from "../../Broker.ts"
import { isTraced, sending } from "../tracing.ts"

/**
 * What a relay publishes through. Its polling is in no trace, its publishing is, if a tracer listened where the relay was
 * made.
 */
export const tracedBroker = Effect.flatMap(
  Broker,
  (broker) =>
    Effect.withFiberRuntime<Pick<typeof broker, "publish">>((fiber) =>
      Effect.succeed(
        isTraced(fiber)
          ? { publish: (batch) => Effect.withTracerEnabled(sending(broker.publish(batch), batch, broker.system), true) }
          : broker
      )
    )
)
