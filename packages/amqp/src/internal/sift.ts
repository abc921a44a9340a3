import { BrokerError, type Delivery } from "@effect-cqrs/core/Broker"
import type { Message as Received } from "amqplib"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { ofChannel } from "./classification.ts"
import type { Channel, Connection } from "./client.ts"
import * as Declare from "./declare.ts"
import { brokerError } from "./link.ts"

export interface SiftOptions extends Declare.Declaring {
  readonly deadline: number
  readonly deliveryOf: (topic: string, received: Received) => Delivery
}

/**
 * Goes through a group's queues. What is kept stays unacknowledged until the channel closes, which puts it back in its
 * place; so does an interruption with what was not decided.
 */
export const sift = <E, R>(
  connection: Connection,
  { group, topic }: { readonly topic: string; readonly group: string },
  options: SiftOptions,
  decide: (delivery: Delivery) => Effect.Effect<"settled" | "kept", E, R>
): Effect.Effect<number, BrokerError | E, R> =>
  Effect.gen(function*() {
    const isPartitioned = options.topology.exchanges?.some((one) => one.name === topic && one.partitions !== undefined)
    const queues = yield* Declare.derive(
      options,
      topic,
      group,
      isPartitioned === true ? "partitioned" : "single-active-consumer"
    )
    let settled = 0
    for (const derived of queues) {
      const { consumerCount, messageCount } = yield* Declare.ensure(connection, derived, { ...options, asItIs: true })
      const { name } = derived.queue
      const through = (read: Effect.Effect<Option.Option<Received>, BrokerError>, channel: Channel) =>
        Effect.gen(function*() {
          for (let n = 0; n < messageCount; n++) {
            const received = yield* read
            if (Option.isNone(received)) break
            const what = yield* decide(options.deliveryOf(topic, received.value))
            if (what === "kept") continue
            channel.ack(received.value.fields.deliveryTag, false)
            settled += 1
          }
        }).pipe(Effect.zipRight(arrived(channel, name, options.deadline)))
      if (messageCount === 0) continue
      const isLocked = yield* Effect.scoped(Effect.flatMap(Declare.open(connection), (channel) =>
        Effect.flatMap(probe(channel, name), (first) => {
          if (first === "locked") return Effect.succeed(true)
          let next: Option.Option<Received> | undefined = first
          const read = Effect.suspend(() => {
            if (next === undefined) return get(channel, name)
            const one = next
            next = undefined
            return Effect.succeed(one)
          })
          return Effect.as(through(read, channel), false)
        })))
      if (!isLocked) {
        continue
      }
      if (consumerCount > 0) {
        return yield* new BrokerError({
          reason: "Unavailable",
          message: `The queue ${name} gives its messages to one consumer alone, which is there: stop the group ${group}`
        })
      }
      yield* Effect.scoped(Effect.flatMap(
        subscribed(connection, name, messageCount, options.deadline),
        ({ channel, take }) =>
          through(take, channel)
      ))
    }
    return settled
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const get = (channel: Channel, queue: string): Effect.Effect<Option.Option<Received>, BrokerError> =>
  Effect.map(
    Declare.request(`The queue ${queue}`, () => channel.get(queue)),
    (message) => message === false ? Option.none() : Option.some(message)
  )

/** Quorum queues with a single active consumer refuse to be asked for a message: only as a consumer is it got. */
const probe = (
  channel: Channel,
  queue: string
): Effect.Effect<Option.Option<Received> | "locked", BrokerError> =>
  Effect.catchIf(
    get(channel, queue),
    (error) => error.message.includes("RESOURCE_LOCKED"),
    () => Effect.succeed("locked" as const)
  )

/** The server has taken all that was acknowledged when it agrees to close the channel. */
const arrived = (channel: Channel, queue: string, deadline: number): Effect.Effect<void, BrokerError> =>
  Effect.asVoid(Declare.request(`The queue ${queue}`, () => channel.close())).pipe(
    Effect.timeoutFail({
      duration: deadline,
      onTimeout: () =>
        new BrokerError({ reason: "Unavailable", message: `What was settled of the queue ${queue} was not answered` })
    })
  )

/** Takes what comes, for so long as something may come; fails if it can be no more: what is left would look like nothing. */
const subscribed = (
  connection: Connection,
  queue: string,
  count: number,
  deadline: number
): Effect.Effect<
  { readonly channel: Channel; readonly take: Effect.Effect<Option.Option<Received>, BrokerError> },
  BrokerError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const received = yield* Queue.unbounded<Received>()
    const ended = yield* Deferred.make<never, BrokerError>()
    const end = (error: BrokerError) => Deferred.unsafeDone(ended, Effect.fail(error))
    const channel = yield* Declare.open(connection, (error) => end(brokerError(ofChannel(error, `The queue ${queue}`))))
    // what is kept is held, and the server's limit has 16 bits
    yield* Declare.request("The prefetch", () => channel.prefetch(count > 65_535 ? 0 : count))
    yield* Declare.request(`The queue ${queue}`, () =>
      channel.consume(queue, (message) => {
        if (message !== null) Queue.unsafeOffer(received, message)
        else end(new BrokerError({ reason: "Unavailable", message: `The queue ${queue} was deleted` }))
      }))
    return {
      channel,
      take: Effect.raceFirst(Effect.timeoutOption(Queue.take(received), deadline), Deferred.await(ended))
    }
  })
