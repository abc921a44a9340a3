import type { Broker, Delivery, Outcome } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fault } from "../Faults.ts"

/** A broker round another one, which keeps to the port's contract whatever goes wrong. */
export const faultyBroker = (
  broker: Context.Tag.Service<Broker>,
  faultOf: Fault
): Context.Tag.Service<Broker> => {
  const one = (message: Message): Effect.Effect<Outcome> => {
    const fault = faultOf(message)
    const published = Effect.map(broker.publish([message]), ([outcome]) => outcome!)
    return fault === undefined ? published : fault.arrives ? Effect.as(published, fault.outcome) : Effect.succeed(
      fault.outcome
    )
  }

  const faulty = <D extends Delivery>(delivery: D): D => ({
    ...delivery,
    forward: (to) =>
      Effect.suspend(() => {
        const fault = faultOf({ ...delivery.message, topic: to.topic })
        if (fault === undefined) return delivery.forward(to)
        return fault.arrives ? Effect.as(delivery.forward(to), fault.outcome) : Effect.succeed(fault.outcome)
      })
  })

  return {
    publish: (batch) =>
      Effect.suspend(() => {
        // behind one that has not arrived none of its key does
        const held = new Set<string>()
        return Effect.forEach(batch, (message) => {
          const lane = message.key === undefined ? undefined : JSON.stringify([message.topic, message.key])
          if (lane !== undefined && held.has(lane)) return Effect.succeed(behind)
          return Effect.tap(one(message), ({ _tag }) =>
            Effect.sync(() => {
              if (lane !== undefined && _tag !== "Delivered") held.add(lane)
            }))
        })
      }),
    consume: (subscription) =>
      Effect.map(broker.consume(subscription), (source) => ({
        take: Effect.map(source.take, faulty),
        takeMany: (limit) => Effect.map(source.takeMany(limit), (taken) => taken.map(faulty))
      })),
    sift: (queue, decide) => broker.sift(queue, (delivery) => decide(faulty(delivery)))
  }
}

const behind: Outcome = {
  _tag: "Retriable",
  scope: "destination",
  reason: "An earlier message of its key was not delivered"
}
