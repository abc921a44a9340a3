/**
 * Dead letters of a group of consumers: what they could not handle, for somebody to look at, to send again or to give up.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Broker, BrokerError, type Delivery, type Outcome } from "./Broker.ts"
import { deadLetterHeaders, deadLetterTopicOf, redrivenFor } from "./internal/consumer/headers.ts"
import { letterOf, selects } from "./internal/consumer/letters.ts"
import type { Message } from "./Message.ts"

/**
 * A dead letter. What a foreign program has put into the dead letter topic has no `topic`, and no reason of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConsumerDeadLetter {
  /** Of the message; of one that is unreadable, what the broker calls it. */
  readonly id: string
  /** Where it came from. */
  readonly topic: string | undefined
  readonly reason: string
  readonly attempts: number
  /** When it became one, by the consumer's clock. */
  readonly diedAt: DateTime.Utc | undefined
  /** As it stands in the dead letter topic. */
  readonly message: Message
  /** Why it cannot be read, if it cannot. */
  readonly unreadable: string | undefined
  readonly isTombstone: boolean
}

/**
 * Which dead letters are meant: those for which all that is given holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConsumerDeadLetterFilter {
  /** The topic it came from. */
  readonly topic?: string | undefined
  readonly key?: string | undefined
  /** Became a dead letter at this time or later. */
  readonly since?: DateTime.Utc | undefined
  /** Became a dead letter before this time. */
  readonly until?: DateTime.Utc | undefined
}

/**
 * Which dead letters are meant: those of some ids, or all for which a filter holds. An empty filter means all.
 *
 * @since 0.1.0
 * @category models
 */
export type Selection = { readonly ids: ReadonlyArray<string> } | ConsumerDeadLetterFilter

/**
 * How many dead letters from a topic there are for one reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConsumerDeadLetterCount {
  readonly topic: string | undefined
  readonly reason: string
  readonly count: number
}

/**
 * What is called as a redrive or a discard goes on, with how many are done so far.
 *
 * @since 0.1.0
 * @category models
 */
export type OnProgress = (progress: { readonly done: number }) => Effect.Effect<void>

/**
 * What became of a redrive.
 *
 * @since 0.1.0
 * @category models
 */
export interface Redriven {
  readonly done: number
  /** How many were meant, and could not be sent. */
  readonly kept: number
  /** Why they could not, each reason once, 20 at the most. */
  readonly problems: ReadonlyArray<string>
}

/**
 * Goes through the dead letter topic once for each call, and never holds more of it than it answers with. What consumers
 * add meanwhile is left for the next call. See {@link Broker} `sift` for what else happens meanwhile, and for brokers that
 * move letters which are looked at behind the others.
 *
 * @since 0.1.0
 * @category tags
 */
export class ConsumerDeadLetters extends Context.Tag("@effect-cqrs/core/ConsumerDeadLetters")<ConsumerDeadLetters, {
  /** The first ones that the broker hands out, those of a key in their order. `limit` is 100 unless given. */
  readonly list: (
    options?: ConsumerDeadLetterFilter & { readonly limit?: number | undefined }
  ) => Effect.Effect<ReadonlyArray<ConsumerDeadLetter>, BrokerError>

  /** How many there are, by topic and reason, most first. Of more than 1,000 reasons the rest is counted together. */
  readonly count: (
    filter?: ConsumerDeadLetterFilter
  ) => Effect.Effect<ReadonlyArray<ConsumerDeadLetterCount>, BrokerError>

  /** The first one of this id. */
  readonly inspect: (id: string) => Effect.Effect<Option.Option<ConsumerDeadLetter>, BrokerError>

  /**
   * Publishes them to the topics that they came from, as they came, for their group alone: without the headers of a dead
   * letter, and with one that makes consumers of other groups settle them unhandled. Their order among themselves and
   * with what was handled since is lost. Attempts are counted anew.
   *
   * At least once: interrupted or failed, it has done what it has reported, and perhaps one letter more, which is then
   * sent twice. With the inbox, handlers that had succeeded with a message are not run again. What cannot be sent is
   * kept: a topic that is out is not tried again in this call, and a letter that does not say where it came from never.
   */
  readonly redrive: (
    selection: Selection,
    onProgress?: OnProgress | undefined
  ) => Effect.Effect<Redriven, BrokerError>

  /** Deletes them for good; answers how many. */
  readonly discard: (
    selection: Selection,
    onProgress?: OnProgress | undefined
  ) => Effect.Effect<number, BrokerError>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly group: string
  /** Where its dead letters are. Default: the group's name and `.dead-letters`. Those of other groups there are left alone. */
  readonly topic?: string | undefined
}

/**
 * The dead letters of a group. A name that is no text is a `BrokerError` that says `Configuration`.
 *
 * @example
 * ```ts
 * import { Broker, ConsumerDeadLetters } from "@effect-cqrs/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const letters = yield* ConsumerDeadLetters.make({ group: "room-views" })
 *   for (const { count, reason, topic } of yield* letters.count()) {
 *     yield* Effect.log(`${topic}: ${count} times ${reason}`)
 *   }
 *   return yield* letters.redrive({ topic: "rooms" })
 * })
 *
 * const { done } = await Effect.runPromise(Effect.provide(program, Broker.layerMemory()))
 * console.log(done) // 0
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Context.Tag.Service<ConsumerDeadLetters>, BrokerError, Broker> =>
  Effect.gen(function*() {
    const { group } = options
    const topic = options.topic ?? deadLetterTopicOf(group)
    for (const [what, name] of [["group", group], ["dead letter topic", topic]] as const) {
      if (typeof name === "string" && name.trim() !== "") continue
      return yield* new BrokerError({
        reason: "Configuration",
        message: `The ${what} of ConsumerDeadLetters is ${JSON.stringify(name)}: it must be a text`
      })
    }
    const broker = yield* Broker
    const queue = { topic, group: topic }

    const sift = <E>(
      selection: Selection,
      decide: (letter: ConsumerDeadLetter, delivery: Delivery) => Effect.Effect<"settled" | "kept", E>
    ): Effect.Effect<number, BrokerError | E> =>
      broker.sift(queue, (delivery) => {
        const letter = letterOf(delivery, group)
        return letter === undefined || !selects(selection, letter) ? kept : decide(letter, delivery)
      })

    /** Ends the sifting when there is enough. */
    const first = (selection: Selection, limit: number) =>
      Effect.suspend(() => {
        const found: Array<ConsumerDeadLetter> = []
        if (limit <= 0) return Effect.succeed(found)
        const sifted = sift(selection, (letter): Effect.Effect<"kept", typeof enough> => {
          found.push(letter)
          return found.length >= limit ? Effect.fail(enough) : kept
        })
        return Effect.as(Effect.catchIf(sifted, (error) => error === enough, () => Effect.void), found)
      }) as Effect.Effect<Array<ConsumerDeadLetter>, BrokerError>

    return ConsumerDeadLetters.of({
      list: ({ limit = 100, ...filter } = {}) => first(filter, limit),
      inspect: (id) => Effect.map(first({ ids: [id] }, 1), ([letter]) => Option.fromNullable(letter)),
      count: (filter) =>
        Effect.suspend(() => {
          const counts = new Map<string, { topic: string | undefined; reason: string; count: number }>()
          const sifted = sift(filter ?? {}, ({ reason, topic }) => {
            let id = JSON.stringify([topic, reason])
            const isOther = !counts.has(id) && counts.size >= mostReasons
            if (isOther) id = "others"
            const known = counts.get(id)
            if (known !== undefined) known.count += 1
            else {counts.set(id, {
                ...(isOther ? { topic: undefined, reason: "(others)" } : { topic, reason }),
                count: 1
              })}
            return kept
          })
          return Effect.map(sifted, () => [...counts.values()].sort((a, b) => b.count - a.count))
        }),
      redrive: (selection, onProgress) =>
        Effect.suspend(() => {
          const problems = new Set<string>()
          const out = new Map<string, string>()
          let done = 0
          let left = 0
          const keep = (problem: string) => {
            left += 1
            if (problems.size < 20) problems.add(problem)
            return kept
          }
          const decide = (letter: ConsumerDeadLetter, delivery: Delivery): Effect.Effect<"settled" | "kept"> => {
            const { topic: origin } = letter
            if (origin === undefined) return keep(unaddressed(topic))
            const already = out.get(origin)
            if (already !== undefined) return keep(already)
            return Effect.flatMap(forwarded(delivery, origin, group), (outcome) => {
              if (outcome._tag === "Delivered") {
                done += 1
                return Effect.as(onProgress?.({ done }) ?? Effect.void, "settled" as const)
              }
              const problem = `${origin} did not take a letter: ${outcome.reason}`
              if (outcome._tag === "Retriable" && outcome.scope !== "part") out.set(origin, problem)
              return keep(problem)
            })
          }
          return Effect.map(sift(selection, decide), () => ({ done, kept: left, problems: [...problems] }))
        }),
      discard: (selection, onProgress) =>
        Effect.suspend(() => {
          let done = 0
          return sift(selection, () => {
            done += 1
            return Effect.as(onProgress?.({ done }) ?? Effect.void, "settled" as const)
          })
        })
    })
  })

/**
 * As {@link make}, for programs that look after one group.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<ConsumerDeadLetters, BrokerError, Broker> =>
  Layer.effect(ConsumerDeadLetters, make(options))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const kept = Effect.succeed("kept" as const)

/** Not an error: why a sifting ends. */
const enough = Symbol("enough")

const mostReasons = 1000

const unaddressed = (topic: string) =>
  `A letter in ${topic} does not say where it came from (the header ${deadLetterHeaders.topic}): no consumer of this ` +
  "toolkit has put it there. Publish it again by other means, or discard it"

const forwarded = (delivery: Delivery, topic: string, group: string): Effect.Effect<Outcome> =>
  Effect.catchAllDefect(
    delivery.forward({
      topic,
      headers: {
        ...Object.fromEntries(Object.values(deadLetterHeaders).map((name) => [name, undefined])),
        [redrivenFor]: group
      }
    }),
    (defect) =>
      Effect.as(
        Effect.logError("The broker adapter died", Cause.die(defect)),
        { _tag: "Retriable", scope: "part", reason: "the broker adapter died" }
      )
  )
