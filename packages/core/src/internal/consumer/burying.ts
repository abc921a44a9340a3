import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Delivery, Forwarding } from "../../Broker.ts"
import { backoffAfter, outage } from "../scheduleDelay.ts"
import { sending } from "../tracing.ts"
import { deadLetterHeaders, redrivenFor } from "./headers.ts"

/** Publishes a message to the dead letter topic as it came, and holds it until that has it. */
export type Bury = (delivery: Delivery, reason: string, attempts: number) => Effect.Effect<void>

export const burying = ({ group, system, topic }: {
  readonly group: string
  readonly topic: string
  /** Of the broker, in traces. */
  readonly system: string | undefined
}): Bury =>
(delivery, reason, attempts) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { message } = delivery
    const cut = shortened(reason)
    return Effect.logError(`A message is a dead letter: ${cut}`).pipe(
      Effect.annotateLogs({
        group,
        event: message.name,
        messageId: message.id,
        correlationId: message.correlationId,
        ...(message.causationId === undefined ? {} : { causationId: message.causationId }),
        topic: message.topic,
        attempts
      }),
      Effect.zipRight(holdUntilForwarded(delivery, system, {
        topic,
        headers: {
          [deadLetterHeaders.reason]: cut,
          [deadLetterHeaders.attempts]: String(attempts),
          [deadLetterHeaders.group]: group,
          [deadLetterHeaders.topic]: message.topic,
          [deadLetterHeaders.time]: new Date(now).toISOString(),
          [redrivenFor]: undefined
        }
      }, 1))
    )
  })

const holdUntilForwarded = (
  delivery: Delivery,
  system: string | undefined,
  to: Forwarding,
  attempt: number
): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.catchAllDefect(
      Effect.map(
        sending(
          Effect.map(delivery.forward(to), (outcome) => [outcome]),
          [{ ...delivery.message, topic: to.topic }],
          system
        ),
        ([outcome]) => outcome
      ),
      (defect) => Effect.as(Effect.logError("The broker adapter died", Cause.die(defect)), undefined)
    ),
    (outcome) =>
      outcome?._tag === "Delivered" ? Effect.void : Effect.logError(
        `A dead letter cannot be published to ${to.topic} and its message is held: ` +
          (outcome?.reason ?? "the broker gave no answer")
      ).pipe(
        Effect.zipRight(Effect.flatMap(backoffAfter(outage, attempt), Effect.sleep)),
        Effect.zipRight(Effect.suspend(() => holdUntilForwarded(delivery, system, to, attempt + 1)))
      )
  )

const mostCharacters = 500

/** Small enough for a header of any broker, on one line, and without half a character at its end. */
const shortened = (reason: string): string => {
  // eslint-disable-next-line no-control-regex -- they are what is taken out
  const line = reason.replace(/[\u0000-\u001f\u007f]+/g, " ")
  if (line.length <= mostCharacters) return line
  return `${line.slice(0, mostCharacters - 1).replace(/[\ud800-\udbff]$/, "")}…`
}
