import { Broker, BucketOwner, type Message, Relay as Relays } from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { Effect, Layer, Schedule } from "effect"
import * as Database from "./database.ts"
import { listen, say } from "./parent.ts"
import type { Relay, Target } from "./protocol.ts"
import { record } from "./recording.ts"

const contentOf = (message: Message.Message): { key: string; version: number; isDeadly: boolean } =>
  JSON.parse(new TextDecoder().decode(message.payload))

/** A broker that answers once it has written down what it took, and does to its process what it is told to. */
const layerBroker = ({ deliveries }: Target, relay: string) =>
  Layer.scoped(
    Broker.Broker,
    Effect.gen(function*() {
      let isOut = false
      let freeze: "late" | "false" | undefined
      yield* listen((command) => {
        if (command._tag === "Freeze") freeze = command.answer
        if (command._tag === "Open") isOut = false
        if (command._tag === "Close") {
          isOut = true
          say({ _tag: "Closed" })
        }
      })

      const outcomeOf = (batch: ReadonlyArray<Message.Message>): Broker.Outcome => {
        const contents = batch.map(contentOf)
        if (contents.some(({ isDeadly }) => isDeadly)) process.kill(process.pid, "SIGKILL")
        if (isOut) return Broker.Outcome.Retriable({ scope: "broker", reason: "It was closed" })
        const answer = freeze
        freeze = undefined
        if (answer !== undefined) {
          say({ _tag: "Freezing", ids: batch.map(({ id }) => id) })
          process.kill(process.pid, "SIGSTOP")
          // somebody has continued it; the answer is there before the event loop can look at any clock
        }
        if (answer === "false") return Broker.Outcome.Delivered()
        const at = Date.now()
        record(deliveries, contents.map(({ key, version }, n) => ({ id: batch[n]!.id, key, version, relay, at })))
        return answer === undefined
          ? Broker.Outcome.Delivered()
          : Broker.Outcome.Rejected({ reason: "It came too late" })
      }

      return Broker.Broker.of({
        publish: (batch) =>
          Effect.sync(() => {
            const outcome = outcomeOf(batch)
            return batch.map(() => outcome)
          }),
        consume: () => Effect.dieMessage("nobody consumes here"),
        sift: () => Effect.dieMessage("nobody consumes here")
      })
    })
  )

/** Says which buckets the relay holds, whenever that changes. */
const layerWatched = Layer.effect(
  BucketOwner.BucketOwner,
  Effect.map(BucketOwner.BucketOwner, (owner) => ({
    ...owner,
    join: Effect.tap(owner.join, ({ changes, holding }) =>
      Effect.forkScoped(Effect.forever(Effect.gen(function*() {
        const version = yield* changes.version
        const { buckets, token } = yield* holding
        say({ _tag: "Holding", token: String(token), buckets })
        yield* changes.waitPast(version)
      }))))
  }))
)

export const relay = (target: Target, role: Relay) =>
  Layer.build(
    Relays.layer({
      batchSize: role.batchSize,
      pollInterval: role.pollMillis,
      maxDeaths: role.maxDeaths,
      retry: Schedule.stop,
      backoff: Schedule.spaced("100 millis"),
      retention: role.keeps ? "1 hour" : undefined
    }).pipe(
      Layer.provide(layerWatched),
      Layer.provide(layerBroker(target, role.name)),
      Layer.provide(SqlStorage.layer({ lease: role.leaseMillis })),
      Layer.provide(Database.layerClient(target, 6))
    )
  ).pipe(
    Effect.tap(Effect.sync(() => say({ _tag: "Ready" }))),
    Effect.zipRight(Effect.never)
  )
