import * as Effect from "effect/Effect"
import type { Options } from "../../Consumer.ts"
import { deadLetterTopicOf } from "./headers.ts"

/** Fails with a sentence for the first option that cannot be: they may come from configuration, or from JavaScript. */
export const requireSettings = (options: Options<any, any>): Effect.Effect<void, string> => {
  const group: unknown = options.subscription?.group
  const whole = (what: string, value: unknown, least: number, why = ""): string | undefined =>
    value === undefined || (Number.isSafeInteger(value) && (value as number) >= least)
      ? undefined
      : `${what} of the consumer ${String(group)} is ${String(value)}: it must be a whole number from ${least}${why}`
  const oneOf = (what: string, value: unknown, known: ReadonlyArray<string>): string | undefined =>
    value === undefined || known.includes(value as string)
      ? undefined
      : `${what} of the consumer ${String(group)} is ${String(value)}: it must be one of ${known.join(", ")}`
  const { ordering, topics, window } = options.subscription ?? {}
  const { deadLetter } = options
  const wrong = isName(group)
    ? whole("The concurrency", options.concurrency, 1) ??
      whole("The window", window, options.concurrency ?? 1, ", its concurrency") ??
      whole("The deaths", options.deaths, 1) ??
      whole("The batch size", options.batch?.size, 1) ??
      (options.batch !== undefined && options.inbox !== true
        ? `The consumer ${group} has batches and no inbox: give it \`inbox: true\`, for one transaction is what a batch is`
        : undefined) ??
      whole(
        "The window",
        options.batch === undefined ? undefined : window,
        options.batch?.size ?? 1,
        ", the size of its batches"
      ) ??
      oneOf("The ordering", ordering, ["single-active-consumer", "partitioned", "none"]) ??
      oneOf("deadLetter.unknown", deadLetter?.unknown, policies) ??
      oneOf("deadLetter.tombstones", deadLetter?.tombstones, policies) ??
      wrongTopics(group, topics, deadLetter?.topic, options.events)
    : `The group of a consumer is ${JSON.stringify(group)}: it must be a text`
  return wrong === undefined ? Effect.void : Effect.fail(wrong)
}

const policies = ["deadLetter", "ignore"]

const isName = (value: unknown): value is string => typeof value === "string" && value.trim() !== ""

const wrongTopics = (
  group: string,
  topics: unknown,
  deadLetterTopic: unknown,
  events: ReadonlyArray<{ readonly topic: string }>
): string | undefined => {
  if (topics !== undefined && !(Array.isArray(topics) && topics.length > 0 && topics.every(isName))) {
    return `The topics of the consumer ${group} are ${JSON.stringify(topics)}: name at least one, or leave them out`
  }
  if (deadLetterTopic !== undefined && !isName(deadLetterTopic)) {
    return `The dead letter topic of the consumer ${group} is ${JSON.stringify(deadLetterTopic)}: it must be a text`
  }
  const letters = deadLetterTopic ?? deadLetterTopicOf(group)
  return (topics as ReadonlyArray<unknown> | undefined ?? events.map(({ topic }) => topic)).includes(letters)
    ? `The consumer ${group} consumes its own dead letters, from ${letters}: give it another deadLetter.topic`
    : undefined
}
