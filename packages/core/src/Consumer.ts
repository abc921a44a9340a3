/**
 * Consumers: messages from a broker to the handlers of their events, acknowledged after success.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Broker, BrokerError, type Delivery } from "./Broker.ts"
import type * as Event from "./Event.ts"
import * as EventMediator from "./EventMediator.ts"
import { InboxError, type InboxStorage } from "./Inbox.ts"
import { type Attempts, plain, throughInbox } from "./internal/attempts.ts"
import { forkGracefully } from "./internal/graceful.ts"
import { backoffAfter, delayAfter, outage } from "./internal/scheduleDelay.ts"
import type { Message } from "./Message.ts"
import { StorageError } from "./OutboxStorage.ts"
import type * as Subscribers from "./Subscribers.ts"
import { TransactionError } from "./Transaction.ts"
import type { Transactor } from "./Transactor.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<
  Evs extends ReadonlyArray<Event.ClassOf<Event.Integration>>,
  UsesInbox extends boolean
> {
  /** Consumers of one group share the messages. Also the consumer's name in the inbox. */
  readonly group: string
  /** The events it handles. It subscribes to their topics. */
  readonly events: Evs
  /** How many messages are handled at a time, those of one topic and key one after the other. Default 1. */
  readonly concurrency?: number | undefined
  /**
   * The waits between attempts of a failing handler, while the message is held and those behind it wait; handlers that
   * succeeded are not run again. When it ends the message is a dead letter. Default: 5 times, from 100 milliseconds,
   * doubling.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /** Handles each message once per handler, in a transaction (see `Inbox`). Default `false`. */
  readonly inbox?: UsesInbox | undefined
  /**
   * With the inbox: after how many deaths of the process in a row, with it alone in flight, a message is a dead letter.
   * Default 5.
   */
  readonly deaths?: number | undefined
  /** What to do with messages whose event is not among `events`. Default `deadLetter`. */
  readonly unknown?: "deadLetter" | "ignore" | undefined
  /** Where dead letters go. Default: the group's name and `.dead-letters`. */
  readonly deadLetterTopic?: string | undefined
  /** How long what is in flight may take to end at shutdown. Default 10 seconds. */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * Headers of a dead letter, beside the message's own: why, after how many attempts, of which group, from which topic.
 *
 * @since 0.1.0
 * @category models
 */
export const deadLetterHeaders = {
  reason: "dead-letter-reason",
  attempts: "dead-letter-attempts",
  group: "dead-letter-group",
  topic: "dead-letter-topic"
} as const

/**
 * A consumer as fibers beside the program.
 *
 * A message is acknowledged after all handlers of its event have succeeded, or after it was published to the dead letter
 * topic with its id, headers and payload intact and the reason beside them. It is never dropped: while the dead letter
 * topic cannot be reached the message is held. Messages that cannot be decoded are dead letters at once.
 *
 * While the database of a handler or of the inbox cannot be reached, or lacks its tables (a `TransactionError` or
 * `StorageError` that says `Unavailable`, or a `StorageError` that says `Schema`), the message is held, however long it
 * takes: this counts as no attempt.
 *
 * Without the inbox a handler may run again for a message it has handled: after a crash, a rebalance, or when another
 * handler of the message failed.
 *
 * **A message that kills the process** comes again when the process does, and kills it again. With the inbox such deaths
 * are counted: a message that was handed out before, and the first 32 of each start (4 for each place of `concurrency`
 * if that is more), have their start committed before a handler runs, which costs one more commit. One that was in flight
 * at a death is then handled with no other message of the consumers that share its inbox beside it, and is a dead letter
 * after so many deaths as `deaths` says; any outcome clears it, and so does the dead letter. Without the inbox nothing is
 * counted: the process goes on dying until somebody takes the message away.
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
    const concurrency = options.concurrency ?? 1
    if (!(Number.isSafeInteger(concurrency) && concurrency > 0)) {
      return yield* new BrokerError({
        reason: "Configuration",
        message: `The concurrency of the consumer ${options.group} is ${concurrency}: it must be a whole number above 0`
      })
    }
    const deaths = options.deaths ?? 5
    if (!(Number.isSafeInteger(deaths) && deaths > 0)) {
      return yield* new BrokerError({
        reason: "Configuration",
        message: `The consumer ${options.group} allows ${deaths} deaths: it must be a whole number above 0`
      })
    }
    const broker = yield* Broker
    const mediator = yield* EventMediator.make(options.events)
    const source = yield* broker.consume({ topics: mediator.topics, group: options.group })
    const attemptsOf = options.inbox === true
      ? yield* throughInbox({ consumer: options.group, concurrency, deaths })
      : () => plain
    const handle = handling(options, broker, mediator)
    let stopped = false
    const loop = (stopping: Effect.Effect<void>): Effect.Effect<void> => {
      const next = Effect.scoped(Effect.flatMap(
        Effect.raceFirst(Effect.asSome(source.take), Effect.as(stopping, Option.none<Delivery>())),
        Option.match({
          // a failure: a message that was taken in this very moment is handed out again
          onNone: () => Effect.fail(stop),
          onSome: (delivery) => handle(delivery.message, attemptsOf(delivery))
        })
      ))
      const persistent = Effect.sandbox(next).pipe(
        Effect.tapError((cause) =>
          isStop(cause) ? Effect.void : Effect.logWarning("A consumer cannot take messages", cause)
        ),
        Effect.retry({ schedule: outage, while: (cause) => !isStop(cause) }),
        Effect.ignore
      )
      return Effect.asVoid(Effect.whileLoop({
        while: () => !stopped,
        body: () => persistent,
        step: () => {}
      }))
    }
    yield* forkGracefully((stopping) =>
      Effect.zipRight(
        Effect.fork(Effect.zipRight(stopping, Effect.sync(() => stopped = true))),
        Effect.forEach(Array.from({ length: concurrency }), () => loop(stopping), {
          concurrency: "unbounded",
          discard: true
        })
      ), options.grace ?? Duration.seconds(10))
  })))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Not an error: why a loop ends. */
const stop = Symbol("stop")

const isStop = (cause: Cause.Cause<unknown>): boolean => Option.contains(Cause.failureOption(cause), stop)

const defaultRetry = Schedule.intersect(Schedule.exponential("100 millis"), Schedule.recurs(5))

const handling = (
  options: Options<any, any>,
  broker: Context.Tag.Service<Broker>,
  mediator: EventMediator.EventMediator
) => {
  const retry = options.retry ?? defaultRetry
  const topic = options.deadLetterTopic ?? `${options.group}.dead-letters`

  const bury = (message: Message, reason: string, attempts: number): Effect.Effect<void> =>
    Effect.logError(`A message is a dead letter: ${reason}`).pipe(
      Effect.annotateLogs({ group: options.group, event: message.name, messageId: message.id, attempts }),
      Effect.zipRight(holdUntilPublished(broker, {
        ...message,
        topic,
        headers: {
          ...message.headers,
          [deadLetterHeaders.reason]: reason,
          [deadLetterHeaders.attempts]: String(attempts),
          [deadLetterHeaders.group]: options.group,
          [deadLetterHeaders.topic]: message.topic
        }
      }))
    )

  return (message: Message, { acquit, attempt }: Attempts): Effect.Effect<void> =>
    Effect.gen(function*() {
      let only: ReadonlySet<string> | undefined
      let attempts = 0
      let outages = 0
      let suspected: ReadonlyArray<Failed> = []
      const buryAs = (failed: ReadonlyArray<Failed>) =>
        Effect.zipRight(
          bury(message, failed.map(reasonOf).join("; "), attempts),
          acquit(suspected.map(({ handler }) => handler))
        )
      while (true) {
        const handled = yield* attempt((around) => mediator.dispatch(message, { only, around }))
        const failures = handled.flatMap(({ exit, handler }): ReadonlyArray<Failed> =>
          Exit.isFailure(exit) ? [{ handler, cause: exit.cause }] : []
        )
        suspected = [...suspected, ...failures.filter(isSuspected)]
        const failed = failures.filter((one) => !isSuspected(one))
        if (failed.length === 0) return suspected.length === 0 ? undefined : yield* buryAs(suspected)
        only = new Set(failed.map(({ handler }) => handler))
        yield* Effect.logWarning(
          `Handlers of ${message.name} failed: ${[...only].join(", ")}`,
          ...failed.map(({ cause }) => cause)
        )
        if (failed.some(({ cause }) => isOutage(cause))) {
          outages += 1
          yield* Effect.flatMap(backoffAfter(outage, outages), Effect.sleep)
          continue
        }
        attempts += 1
        const delay = yield* delayAfter(retry, attempts, failed[0]!.cause)
        if (Option.isNone(delay)) return yield* buryAs([...failed, ...suspected])
        yield* Effect.sleep(delay.value)
      }
    }).pipe(
      Effect.catchAll((error) =>
        error.reason === "UnknownEvent" && options.unknown === "ignore" ? Effect.void : bury(message, error.message, 1)
      )
    )
}

interface Failed {
  readonly handler: string
  readonly cause: Cause.Cause<unknown>
}

const isSuspected = ({ cause }: Failed): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error instanceof InboxError)

/** The sentence of a suspicion is the library's own. */
const reasonOf = (failed: Failed): string =>
  `${failed.handler}: ${
    isSuspected(failed) ? (Cause.squash(failed.cause) as InboxError).message : nameOf(failed.cause)
  }`

/** The database could not be reached, or lacks a table: no fault of the message, nor of its handler. */
const isOutage = (cause: Cause.Cause<unknown>): boolean =>
  Chunk.some(
    Cause.failures(cause),
    (error) =>
      (error instanceof TransactionError && (error.reason === "Unavailable" || error.reason === "OutcomeUnknown")) ||
      (error instanceof StorageError && (error.reason === "Unavailable" || error.reason === "Schema"))
  )

const holdUntilPublished = (broker: Context.Tag.Service<Broker>, message: Message): Effect.Effect<void> => {
  const attempt = (attempts: number): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.catchAllDefect(
        broker.publish([message]),
        (defect) => Effect.as(Effect.logError("The broker adapter died", Cause.die(defect)), [])
      ),
      ([outcome]) =>
        outcome?._tag === "Delivered" ? Effect.void : Effect.logError(
          `A dead letter cannot be published to ${message.topic} and its message is held: ` +
            (outcome?.reason ?? "the broker gave no answer")
        ).pipe(
          Effect.zipRight(Effect.flatMap(backoffAfter(outage, attempts), Effect.sleep)),
          Effect.zipRight(Effect.suspend(() => attempt(attempts + 1)))
        )
    )
  return attempt(1)
}

/** The name of a failure, not its text: dead letters are stored, and a text may carry what the payload carried. */
const nameOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (typeof error === "object" && error !== null) {
    if ("_tag" in error && typeof error._tag === "string") return error._tag
    if (error instanceof Error) return error.name
  }
  return "an untagged failure"
}
