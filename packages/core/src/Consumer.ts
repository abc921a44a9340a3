/**
 * Consumers: messages from a broker to the handlers of their events, acknowledged after success.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import { Broker, BrokerError, type Ordering } from "./Broker.ts"
import type * as Event from "./Event.ts"
import * as EventMediator from "./EventMediator.ts"
import type { InboxStorage } from "./Inbox.ts"
import { plain, throughInbox } from "./internal/attempts.ts"
import { burying } from "./internal/consumer/burying.ts"
import { consuming } from "./internal/consumer/consuming.ts"
import { counting } from "./internal/consumer/counting.ts"
import { handling } from "./internal/consumer/handling.ts"
import * as headers from "./internal/consumer/headers.ts"
import { requireSettings } from "./internal/consumer/settings.ts"
import { forkGracefully } from "./internal/graceful.ts"
import type * as Subscribers from "./Subscribers.ts"
import type { Transactor } from "./Transactor.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<
  Evs extends ReadonlyArray<Event.ClassOf<Event.Integration>>,
  UsesInbox extends boolean
> {
  readonly subscription: SubscriptionOptions
  /** The events it handles. */
  readonly events: Evs
  /** How many messages are handled at a time, those of one topic and key one after the other. Default 1. */
  readonly concurrency?: number | undefined
  /**
   * The waits between attempts of a failing handler, while the message is held and those behind it wait; handlers that
   * succeeded are not run again. When it ends the message is a dead letter. Default: 5 times, from 100 milliseconds,
   * doubling.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  readonly deadLetter?: DeadLetterOptions | undefined
  /** Handles each message once per handler, in a transaction (see `Inbox`). Default `false`. */
  readonly inbox?: UsesInbox | undefined
  /**
   * With the inbox: after how many deaths of the process in a row, with it alone in flight, a message is a dead letter.
   * Default 5.
   */
  readonly deaths?: number | undefined
  /**
   * With the inbox: handles what has arrived, up to `size` messages, one after the other in one transaction, which commits
   * once. If one of them is not handled, or the commit fails, all of it is rolled back, and each is handled by itself:
   * what a handler does outside of the transaction is then done twice. Default: none.
   */
  readonly batch?: { readonly size: number } | undefined
  /** How long what is in flight may take to end at shutdown. Default 10 seconds. */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * What is consumed, and with whom it is shared.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubscriptionOptions {
  /** Consumers of one group share the messages. Also the consumer's name in the inbox. */
  readonly group: string
  /** Default: those of the events. */
  readonly topics?: ReadonlyArray<string> | undefined
  /** How the order of keys is kept among members, where the broker does not do so by itself. */
  readonly ordering?: Ordering | undefined
  /** How many messages this member holds, waiting or out: at least the concurrency. Default: the broker's, 256. */
  readonly window?: number | undefined
}

/**
 * What becomes of messages that are not handled.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetterOptions {
  /** Where dead letters go. Default: {@link deadLetterTopicOf} the group. */
  readonly topic?: string | undefined
  /** Messages whose event is not among the consumer's. Default `deadLetter`. */
  readonly unknown?: "deadLetter" | "ignore" | undefined
  /** Messages without a body. Default `deadLetter`; in compacted topics they are deletions: say `ignore` there. */
  readonly tombstones?: "deadLetter" | "ignore" | undefined
}

/**
 * Headers of a dead letter, beside the message's own: why, after how many attempts, of which group, from which topic, and
 * when, as an ISO 8601 timestamp. The reason has at most 500 characters. One that died before has those of its last
 * death, and no others; its attempts are counted anew.
 *
 * @since 0.1.0
 * @category models
 */
export const deadLetterHeaders = headers.deadLetterHeaders

/**
 * Where the dead letters of a group are, unless its consumer says otherwise: the group's name and `.dead-letters`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const deadLetterTopicOf = headers.deadLetterTopicOf

/**
 * The header of a message that was redriven: the group that it is for. Consumers of other groups settle it, and run no
 * handler. Those of the group do not show it to their handlers: what these publish with the headers they got is for all.
 *
 * @since 0.1.0
 * @category models
 */
export const redrivenFor = headers.redrivenFor

/**
 * A consumer as fibers beside the program.
 *
 * A message is acknowledged after all handlers of its event have succeeded, or after it was published to the dead letter
 * topic as it came, byte for byte, with the reason beside it ({@link deadLetterHeaders}). It is never dropped: while the dead letter
 * topic cannot be reached the message is held. Messages that cannot be read or decoded
 * are dead letters at once. An option that cannot be is a `BrokerError` that says `Configuration`.
 *
 * While the database of a handler or of the inbox cannot be reached, or lacks its tables (a `TransactionError` or
 * `StorageError` that says `Unavailable`, or a `StorageError` that says `Schema`), the message is held, however long it
 * takes: this counts as no attempt.
 *
 * Without the inbox a handler may run again for a message it has handled: after a crash, a rebalance, or when another
 * handler of the message failed.
 *
 * **A message that kills the process** comes again when the process does, and kills it again. With the inbox such deaths
 * are counted: a message that was handed out before, and the first 32 (4 for each place of `concurrency` if that is more)
 * of each partition that this member gets, or of each channel, that were not handled before, have their start committed
 * before a handler runs, which costs one more commit; so do the duplicates up to these. One that was in flight at a death
 * is then handled with no other message of the consumers that share its inbox beside it, and is a dead letter
 * after so many deaths as `deaths` says; any outcome clears it, and so does the dead letter. Without the inbox nothing is
 * counted: the process goes on dying until somebody takes the message away.
 *
 * A consumer whose `concurrency` is 1 takes up to 32 messages at once, handles one after the other, and acknowledges each by
 * itself.
 *
 * When the layer's scope closes no message is taken any more; handlers that run may finish within the grace period, and
 * the messages of those that do not are handed out again.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <
  const Evs extends ReadonlyArray<Event.ClassOf<Event.Integration>>,
  const UsesInbox extends boolean = false
>(
  options: Options<Evs, UsesInbox>
): Layer.Layer<
  never,
  BrokerError,
  | Broker
  | Subscribers.Of<InstanceType<Evs[number]>>
  | (UsesInbox extends true ? Transactor | InboxStorage : never)
> =>
  unsafeCoerce(Layer.scopedDiscard(Effect.gen(function*() {
    yield* Effect.mapError(
      requireSettings(options),
      (message) => new BrokerError({ reason: "Configuration", message })
    )
    const { group, ordering, topics, window } = options.subscription
    const concurrency = options.concurrency ?? 1
    const deaths = options.deaths ?? 5
    const deadLetterTopic = options.deadLetter?.topic ?? headers.deadLetterTopicOf(group)
    const names: ReadonlySet<string> = new Set(options.events.map((event) => event.eventName))
    const broker = yield* Broker
    const mediator = yield* EventMediator.make(options.events)
    const source = yield* broker.consume({
      topics: topics ?? mediator.topics,
      group,
      ordering,
      window,
      publishesTo: [deadLetterTopic]
    })
    const size = options.batch?.size ?? 1
    const { attemptsOf, together } = options.inbox === true
      ? yield* throughInbox({ consumer: group, concurrency, deaths, size })
      : { attemptsOf: () => plain, together: undefined }
    const { isPlain, single, together: handleAll } = handling({
      mediator,
      retry: options.retry,
      bury: burying({ group, topic: deadLetterTopic, system: broker.system }),
      counts: counting(group, names, yield* Effect.clock),
      group,
      attributes: {
        ...(broker.system === undefined ? {} : { "messaging.system": broker.system }),
        "messaging.consumer.group.name": group
      },
      events: names,
      unknown: options.deadLetter?.unknown ?? "deadLetter",
      tombstones: options.deadLetter?.tombstones ?? "deadLetter"
    })
    const consume = consuming({
      source,
      concurrency,
      // several loops share what is there one by one
      limit: size > 1 ? size : concurrency === 1 ? Math.min(window ?? mostTaken, mostTaken) : 1,
      handle: (delivery) => single(delivery, attemptsOf),
      handleTogether: size === 1 || together === undefined ?
        undefined :
        (taken) =>
          taken.every(isPlain) && together.isFit(taken)
            ? Effect.matchCauseEffect(handleAll(taken, together), {
              onSuccess: () => Effect.succeed(true),
              onFailure: (cause) =>
                Effect.as(
                  Effect.logDebug("A batch was rolled back, its messages are handled one by one", cause),
                  false
                )
            })
            : Effect.succeed(false)
    })
    yield* forkGracefully(
      (stopping) => Effect.annotateLogs(consume(stopping), { group }),
      options.grace ?? Duration.seconds(10)
    )
  })))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Of messages that are taken together and settled one by one. */
const mostTaken = 32
