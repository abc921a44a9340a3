/**
 * What stands round the handlers under test: storage, transactions and broker, in memory unless given, with faults on demand
 * and all of it recorded.
 *
 * @since 0.1.0
 */
import * as Bootstrap from "@effect-cqrs/core/Bootstrap"
import * as Broker from "@effect-cqrs/core/Broker"
import * as EventEmitter from "@effect-cqrs/core/EventEmitter"
import * as Idempotency from "@effect-cqrs/core/Idempotency"
import type * as OutboxStorage from "@effect-cqrs/core/OutboxStorage"
import * as Relay from "@effect-cqrs/core/Relay"
import * as Serialization from "@effect-cqrs/core/Serialization"
import * as Transaction from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Faults from "./Faults.ts"
import * as Recorder from "./Recorder.ts"

/**
 * What {@link layer} provides.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Bootstrap.Storage
  | Broker.Broker
  | Transaction.Transactional
  | Idempotency.Idempotent
  | Recorder.Recorder
  | Faults.Faults

/**
 * Those of `Bootstrap.layer`, but for the relay and the gauges.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<ES = never, RS = never, EB = never, RB = never>
  extends Omit<Bootstrap.Options<ES, RS, EB, RB>, "relay" | "metrics">
{}

/**
 * For tests of handlers: what they announce is recorded, and stays in the outbox, since no relay is there.
 *
 * @example
 * ```ts
 * import { Event, Outbox, Transaction } from "@effect-cqrs/core"
 * import { Recorder, Testbed } from "@effect-cqrs/testing"
 * import { Effect, Schema } from "effect"
 * import * as assert from "node:assert"
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
 *   topic: "rooms",
 *   payload: { roomId: Schema.String }
 * }) {}
 *
 * const test = Effect.gen(function*() {
 *   yield* Transaction.run(Outbox.add(new RoomClosed({ roomId: "blue" })))
 *   assert.deepStrictEqual(yield* Recorder.added(RoomClosed), [new RoomClosed({ roomId: "blue" })])
 * })
 *
 * await Effect.runPromise(Effect.provide(test, Testbed.layer()))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <ES = never, RS = never, EB = never, RB = never>(
  options: Options<ES, RS, EB, RB> = {}
): Layer.Layer<Services, ES | EB, RS | RB> => {
  const storage: Layer.Layer<Bootstrap.Storage, ES, RS> = options.storage ?? anew(Bootstrap.layerStorageMemory)
  const broker: Layer.Layer<Broker.Broker, EB, RB> = options.broker ?? Broker.layerMemory()
  return Layer.merge(
    Transaction.Transactional.layerWith(options.transaction ?? {}),
    Idempotency.Idempotent.layerWith({ ...options.transaction, ...options.idempotency })
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(
      Layer.provideMerge(anew(Recorder.layerTransactor), storage),
      anew(Recorder.layerBroker).pipe(Layer.provideMerge(anew(Faults.layer)), Layer.provide(broker)),
      reporting(options.emitter)
    )),
    Layer.provideMerge(Recorder.layer),
    Layer.provideMerge(Serialization.layer(options.serialization ?? {}))
  )
}

/**
 * As {@link layer}, with a running relay: for tests that go through outbox, relay and consumers. `Quiescence` drives it.
 *
 * Unless given, the relay has one lane, so that events are published in the order of their commits whatever their keys, and
 * polls every minute, so that the test clock goes from one thing that happens to the next.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRunning = <ES = never, RS = never, EB = never, RB = never>(
  options: Options<ES, RS, EB, RB> & Pick<Bootstrap.Options, "relay"> = {}
): Layer.Layer<Services | Relay.Relay, ES | EB | Relay.RelayError | OutboxStorage.StorageError, RS | RB> => {
  const { relay, ...others } = options
  return Layer.provideMerge(Relay.layer({ lanes: 1, pollInterval: "1 minute", ...relay }), layer(others))
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Two testbeds of one program have two databases and two brokers; each of them has one, however often it is provided. */
const anew = <A, E, R>(one: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> => Layer.map(Layer.fresh(one), identity)

/** What goes wrong with an emission is recorded: in a test nobody reads the log. */
const reporting = (policy: EventEmitter.PolicyOptions = {}): Layer.Layer<never, never, Recorder.Recorder> =>
  Layer.unwrapEffect(Effect.map(Recorder.Recorder, ({ record }) =>
    EventEmitter.layerPolicy({
      ...policy,
      onFailure: (error) =>
        Effect.zipRight(record(Recorder.Entry.EmissionFailed({ error })), policy.onFailure?.(error) ?? Effect.void)
    })))
