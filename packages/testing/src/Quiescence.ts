/**
 * Runs a program until nothing is on its way any more: no event in the outbox, none at a consumer. The test clock is driven
 * from one thing that waits for it to the next, so that pauses, retries and outages take no time.
 *
 * @since 0.1.0
 */
import type { OutboxStorage, StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { advance, requireTestClock, runOn, stillness } from "./internal/quiescence/clock.ts"
import { type Finding, look } from "./internal/quiescence/look.ts"
import { Recorder } from "./Recorder.ts"

/**
 * It did not come to rest, or not to a good one. The message lists what is left, and why.
 *
 * - `Unsettled`: something is still on its way after the time that was given, or no time will help it.
 * - `DeadLetters`: it is at rest, and there are dead letters.
 * - `NoTestClock`: there is no test clock to drive. `it.effect` and `it.scoped` have one.
 *
 * @since 0.1.0
 * @category errors
 */
export class QuiescenceError extends Schema.TaggedError<QuiescenceError>("@effect-cqrs/testing/QuiescenceError")(
  "QuiescenceError",
  {
    reason: Schema.Literal("Unsettled", "DeadLetters", "NoTestClock"),
    message: Schema.String,
    /** What is left, a line each. */
    left: Schema.Array(Schema.String)
  }
) {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long it may take, by the test clock. Default 10 minutes. */
  readonly within?: Duration.DurationInput | undefined
  /** Dead letters, of the outbox and of consumers, are no error. Default `false`. */
  readonly allowDeadLetters?: boolean | undefined
}

/**
 * Runs an effect and drives the test clock until it has ended and all that came of it is settled: the outbox is empty, and each
 * consumer waits for a message and holds none. Needs the recorder's broker (`Testbed.layerRunning` has it), and the relay and the
 * consumers beside the program.
 *
 * Messages of topics that nobody consumes are at rest. It fails at once where no time will help: if all that is left waits behind
 * dead letters. When it has failed with `Unsettled` the clock runs on by itself for 30 seconds: what is still at work has its
 * grace period at the end of the test, which would else wait for a clock that nobody moves. Real servers take real time, of which it knows nothing: it is for what runs in this process.
 *
 * @example
 * ```ts
 * import { Consumer, Event, Outbox, Subscribers, Transaction } from "@effect-cqrs/core"
 * import { Quiescence, Testbed } from "@effect-cqrs/testing"
 * import { Effect, Layer, Ref, Schema, TestContext } from "effect"
 * import * as assert from "node:assert"
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("room_closed", {
 *   topic: "rooms",
 *   payload: { roomId: Schema.String }
 * }) {}
 *
 * const test = Effect.gen(function*() {
 *   const heard = yield* Ref.make<ReadonlyArray<string>>([])
 *   const Listener = Consumer.layer({ subscription: { group: "listener" }, events: [RoomClosed] }).pipe(
 *     Layer.provide(Subscribers.layer(RoomClosed, {
 *       hear: ({ roomId }) => Ref.update(heard, (all) => [...all, roomId])
 *     }))
 *   )
 *   yield* Quiescence.run(Transaction.run(Outbox.add(new RoomClosed({ roomId: "blue" })))).pipe(
 *     Effect.provide(Layer.provideMerge(Listener, Testbed.layerRunning()))
 *   )
 *   assert.deepStrictEqual(yield* Ref.get(heard), ["blue"])
 * })
 *
 * await Effect.runPromise(Effect.provide(test, TestContext.TestContext))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: Options = {}
): Effect.Effect<A, E | QuiescenceError | StorageError, R | Recorder | OutboxStorage> =>
  Effect.scoped(Effect.gen(function*() {
    const clock = yield* Effect.mapError(
      requireTestClock,
      (message) => new QuiescenceError({ reason: "NoTestClock", message, left: [] })
    )
    const recorder = yield* Recorder
    const fiber = yield* Effect.forkScoped(effect)
    const until = (yield* clock.currentTimeMillis) + Duration.toMillis(options.within ?? Duration.minutes(10))
    while (true) {
      yield* stillness(Effect.map(recorder.entries, ({ length }) => length))
      const hasEnded = (yield* Fiber.poll(fiber))._tag === "Some"
      const finding = yield* look
      const isAtRest = finding.moving.length === 0
      // what failed is told, whatever is left
      if (hasEnded && (yield* Fiber.await(fiber))._tag === "Failure") return yield* Fiber.join(fiber)
      if (hasEnded && isAtRest) {
        if (finding.dead.length > 0 && options.allowDeadLetters !== true) yield* deadLetters(finding)
        return yield* Fiber.join(fiber)
      }
      const why = hasEnded && finding.isStuck
        ? "No time will help"
        : (yield* advance(clock, until))
        ? undefined
        : hasEnded
        ? "Time is up"
        : "The effect has not ended"
      if (why !== undefined) {
        yield* Effect.forkDaemon(runOn(clock))
        return yield* unsettled(finding, why)
      }
    }
  }))

/**
 * Lets all that is on its way come to its end. `run` of nothing.
 *
 * @since 0.1.0
 * @category combinators
 */
export const settle = (
  options?: Options | undefined
): Effect.Effect<void, QuiescenceError | StorageError, Recorder | OutboxStorage> => run(Effect.void, options)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const list = (lines: ReadonlyArray<string>): string => lines.map((line) => `\n- ${line}`).join("")

const unsettled = ({ dead, moving }: Finding, why: string) => {
  const left = [...moving, ...dead]
  return new QuiescenceError({ reason: "Unsettled", message: `It does not come to rest. ${why}${list(left)}`, left })
}

const deadLetters = ({ dead }: Finding) =>
  new QuiescenceError({
    reason: "DeadLetters",
    message: `It came to rest with dead letters (allowDeadLetters takes them as they are):${list(dead)}`,
    left: [...dead]
  })
