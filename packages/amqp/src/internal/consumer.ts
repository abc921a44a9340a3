import type { BrokerError, Delivery, Source, Subscription } from "@effect-cqrs/core/Broker"
import * as Handout from "@effect-cqrs/core/Handout"
import type { Message as Received } from "amqplib"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Acks } from "./acks.ts"
import type { Connection } from "./client.ts"
import * as Declare from "./declare.ts"
import type { Link } from "./link.ts"

export interface ConsumerOptions extends Declare.Declaring {
  readonly recovery: Schedule.Schedule<unknown>
  readonly deliveryOf: (topic: string, received: Received) => Delivery
}

const defaultWindow = 256

/**
 * Joins a group: a channel with a consumer on each queue, set up again whenever it ends. What waiting cannot mend fails
 * here, if there is a connection; without one the messages come as soon as there is.
 */
export const join = (
  link: Link,
  subscription: Subscription,
  options: ConsumerOptions
): Effect.Effect<Source, BrokerError, Scope.Scope> =>
  Effect.gen(function*() {
    const window = subscription.window ?? defaultWindow
    const ordering = subscription.ordering ?? "single-active-consumer"
    if (!Number.isSafeInteger(window) || window < 1) {
      return yield* Declare.misconfigured(`The window of a subscription is ${window}: it must be a whole number from 1`)
    }
    if (subscription.group === "") {
      return yield* Declare.misconfigured("The group of a subscription is empty: name it")
    }
    const queues = yield* Effect.map(
      Effect.forEach(
        new Set(subscription.topics),
        (topic) => Declare.derive(options, topic, subscription.group, ordering)
      ),
      (found) => found.flat()
    )
    if (queues.length === 0) return yield* Declare.misconfigured("The subscription has no topics: name one")

    const handout = Handout.make()
    const first = yield* Deferred.make<void, BrokerError>()

    const session = (connection: Connection) =>
      Effect.gen(function*() {
        for (const queue of queues) yield* Declare.ensure(connection, queue, { ...options, asItIs: false })
        for (const topic of subscription.publishesTo ?? []) {
          yield* Declare.ensurePublishable(connection, topic, options)
        }
        const ended = yield* Deferred.make<void>()
        const end = () => Deferred.unsafeDone(ended, Effect.void)
        const { acks, channel } = yield* Effect.acquireRelease(
          Effect.map(
            Declare.request("A channel", () => connection.channel({ closed: end })),
            (channel) => ({ channel, acks: new Acks(channel) })
          ),
          ({ acks, channel }) =>
            Effect.suspend(() => {
              handout.withdraw(channel)
              acks.flush()
              return Declare.close(channel)
            })
        )
        const received = (topic: string) => (message: Received | null): void => {
          if (message === null) return end()
          const { deliveryTag } = message.fields
          const delivery = options.deliveryOf(topic, message)
          const { key } = delivery.message
          handout.offer({
            deliver: () => delivery,
            lane: key === undefined ? undefined : `${topic}\0${key}`,
            origin: channel,
            onSettled: () => acks.settle(deliveryTag)
          })
        }
        // it counts for each consumer, and quorum queues know no limit for a channel
        const share = Math.min(65_535, Math.max(1, Math.floor(window / queues.length)))
        yield* Declare.request("The prefetch", () => channel.prefetch(share))
        for (const { queue, topic } of queues) {
          yield* Declare.request(`The queue ${queue.name}`, () => channel.consume(queue.name, received(topic)))
        }
        yield* Deferred.succeed(first, undefined)
        yield* Deferred.await(ended)
      }).pipe(Effect.scoped)

    const failed = (error: BrokerError) =>
      error.reason === "Configuration"
        ? Effect.flatMap(
          Deferred.fail(first, error),
          (isFirst) => isFirst ? Effect.void : Effect.logError(`${error.message}. It is tried again.`)
        )
        : Effect.zipRight(
          Deferred.succeed(first, undefined),
          Effect.logWarning(`The consumer ${subscription.group} has no messages: ${error.message}. It is tried again.`)
        )

    const member = yield* Effect.flatMap(link.connected, session).pipe(
      Effect.tapError(failed),
      Effect.retry(options.recovery),
      Effect.ignore,
      Effect.zipRight(Effect.sleep("50 millis")),
      Effect.forever,
      Effect.forkScoped
    )
    if (link.current() !== undefined) {
      // the scope is the caller's, and may stay open after a failure
      yield* Effect.onError(Deferred.await(first), () => Fiber.interrupt(member))
    }
    return yield* handout.join
  })
