import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { Delivery } from "../../Broker.ts"
import type { ConsumerDeadLetter, Selection } from "../../ConsumerDeadLetters.ts"
import { deadLetterHeaders } from "./headers.ts"

/** Undefined if it is the letter of another group, which shares the topic. */
export const letterOf = (delivery: Delivery, group: string): ConsumerDeadLetter | undefined => {
  const { isTombstone, message, unreadable } = delivery
  const header = (name: string): string | undefined =>
    Object.hasOwn(message.headers, name) ? message.headers[name] : undefined
  const owner = header(deadLetterHeaders.group)
  if (owner !== undefined && owner !== group) return undefined
  const topic = header(deadLetterHeaders.topic)
  const attempts = Number(header(deadLetterHeaders.attempts) ?? 0)
  return {
    id: message.id,
    topic: topic === "" ? undefined : topic,
    reason: header(deadLetterHeaders.reason) ?? "(no reason given)",
    attempts: Number.isSafeInteger(attempts) ? attempts : 0,
    diedAt: Option.getOrUndefined(DateTime.make(header(deadLetterHeaders.time) ?? "")),
    message,
    unreadable,
    isTombstone
  }
}

export const selects = (selection: Selection, letter: ConsumerDeadLetter): boolean => {
  if ("ids" in selection) return selection.ids.includes(letter.id)
  const { key, since, topic, until } = selection
  const { diedAt } = letter
  return (topic === undefined || topic === letter.topic) &&
    (key === undefined || key === letter.message.key) &&
    (since === undefined || (diedAt !== undefined && DateTime.greaterThanOrEqualTo(diedAt, since))) &&
    (until === undefined || (diedAt !== undefined && DateTime.lessThan(diedAt, until)))
}
