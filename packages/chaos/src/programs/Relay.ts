/** A relay that says which buckets it holds. */
import { BucketOwner, Relay } from "@effect-cqrs/core"
import { Effect, Layer, Schedule } from "effect"
import { timing } from "../Setting.ts"
import { backoff, say } from "./Parts.ts"

const Watched = Layer.effect(
  BucketOwner.BucketOwner,
  Effect.map(BucketOwner.BucketOwner, (owner) => ({
    ...owner,
    join: Effect.tap(owner.join, ({ changes, holding }) =>
      Effect.forkScoped(Effect.forever(Effect.gen(function*() {
        const version = yield* changes.version
        const { buckets } = yield* holding
        say({ _tag: "Holding", buckets })
        yield* changes.waitPast(version)
      }))))
  }))
)

/** Every other one keeps what it has delivered for a while. */
export const RelayOf = (slot: number) =>
  Relay.layer({
    batchSize: 100,
    pollInterval: timing.poll,
    // a poison event is to be a dead letter soon
    retry: Schedule.intersect(Schedule.spaced("300 millis"), Schedule.recurs(2)),
    backoff,
    grace: timing.lease,
    retention: slot % 2 === 0 ? "20 seconds" : undefined
  }).pipe(Layer.provide(Watched))
