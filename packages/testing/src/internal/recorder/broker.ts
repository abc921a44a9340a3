import type { Broker, Delivery, Held, Source } from "@effect-cqrs/core/Broker"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Member, Recorder } from "../../Recorder.ts"

/** A broker that tells a recorder what passes. */
export const recordingBroker = (
  broker: Context.Tag.Service<Broker>,
  recorder: Context.Tag.Service<Recorder>
): Context.Tag.Service<Broker> => {
  const follow = <D extends Delivery>(delivery: D): D => ({
    ...delivery,
    forward: (to) =>
      Effect.tap(delivery.forward(to), (outcome) => {
        const message = { ...delivery.message, topic: to.topic, headers: merged(delivery.message.headers, to.headers) }
        return recorder.record({ _tag: "Published", message, outcome })
      })
  })

  const sourceOf = (source: Source, member: Member): Source => {
    const takeMany: Source["takeMany"] = (limit) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          member.waiting(restore(source.takeMany(limit))),
          (taken) =>
            Effect.forEach(taken, (one) =>
              Effect.flatMap(member.took(one.message, one.redeliveries), (end) =>
                Effect.as(
                  Effect.addFinalizer((exit) => Effect.sync(() => end(Exit.isSuccess(exit) ? "settled" : "givenBack"))),
                  {
                    ...follow(one),
                    settle: Effect.zipRight(one.settle, Effect.sync(() => end("settled")))
                  } satisfies Held
                )))
        )
      )
    return { take: Effect.map(takeMany(1), ([one]) => one!), takeMany }
  }

  return {
    publish: (batch) =>
      Effect.tap(
        broker.publish(batch),
        (outcomes) =>
          Effect.forEach(batch, (message, at) =>
            recorder.record({ _tag: "Published", message, outcome: outcomes[at]! }), {
            discard: true
          })
      ),
    consume: (subscription) =>
      Effect.gen(function*() {
        const source = yield* broker.consume(subscription)
        const member = yield* Effect.acquireRelease(recorder.join(subscription.group), ({ left }) => left)
        return sourceOf(source, member)
      }),
    sift: (queue, decide) =>
      broker.sift(queue, (delivery) =>
        Effect.tap(decide(follow(delivery)), (what) =>
          what === "settled"
            ? recorder.record({ _tag: "Consumed", group: queue.group, message: delivery.message, how: "settled" })
            : Effect.void))
  }
}

const merged = (
  headers: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | undefined>>
): Record<string, string> => {
  const all: Record<string, string> = { ...headers }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete all[name]
    else all[name] = value
  }
  return all
}
