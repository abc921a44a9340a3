import type * as Event from "@effect-cqrs/core/Event"
import type { Message } from "@effect-cqrs/core/Message"
import * as Serialization from "@effect-cqrs/core/Serialization"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Entry } from "../../Recorder.ts"
import type { Expectation, Outcome } from "../../Scenario.ts"
import { areSame, differences, listDifferences, show } from "../difference.ts"
import { isDeadLetter } from "../recorder/deadLetter.ts"

/** A part of an outcome that is not as expected. */
export interface Mismatch {
  readonly what: string
  readonly lines: ReadonlyArray<string>
  readonly expected: unknown
  readonly actual: unknown
}

export const mismatches = (
  { entries, exit }: Outcome<unknown, unknown>,
  expected: Expectation<unknown, unknown>
): Effect.Effect<ReadonlyArray<Mismatch>> =>
  Effect.gen(function*() {
    const found: Array<Mismatch> = []
    const end = mismatchOfExit(exit, expected)
    if (end !== undefined) found.push(end)
    const list = (what: string, wanted: ReadonlyArray<object>, received: ReadonlyArray<object>) => {
      const lines = listDifferences(wanted, received)
      if (lines.some((line) => !line.startsWith(" "))) found.push({ what, lines, expected: wanted, actual: received })
    }
    const messages = Effect.fnUntraced(function*(
      what: string,
      wanted: ReadonlyArray<Event.Integration>,
      pick: (entry: Entry) => Message | undefined
    ) {
      const picked = entries.flatMap((entry) => pick(entry) ?? [])
      list(what, wanted, yield* Effect.forEach(picked, (message) => read(message, wanted)))
    })
    yield* messages("added", expected.added ?? [], (entry) => entry._tag === "Added" ? entry.message : undefined)
    if (expected.rolledBack !== undefined) {
      yield* messages(
        "rolledBack",
        expected.rolledBack,
        (entry) => entry._tag === "RolledBack" ? entry.message : undefined
      )
    }
    yield* messages("published", expected.published ?? [], (entry) => isStraight(entry) ? entry.message : undefined)
    list("emitted", expected.emitted ?? [], entries.flatMap((entry) => entry._tag === "Emitted" ? [entry.event] : []))
    list("sent", expected.sent ?? [], entries.flatMap((entry) => entry._tag === "Sent" ? [entry.request] : []))
    list("failed emissions", [], entries.flatMap((entry) => entry._tag === "EmissionFailed" ? [entry.error] : []))
    return found
  })

/** Of those that the broker has taken, what no relay has published and no consumer has given up. */
const isStraight = (entry: Entry): entry is Entry & { readonly _tag: "Published" } =>
  entry._tag === "Published" && entry.outcome._tag === "Delivered" && entry.message.sequence === undefined &&
  !isDeadLetter(entry.message)

const mismatchOfExit = (
  exit: Exit.Exit<unknown, unknown>,
  expected: Expectation<unknown, unknown>
): Mismatch | undefined => {
  const wanted = "failure" in expected && expected.failure !== undefined
    ? { what: "failure", value: expected.failure } as const
    : "defect" in expected && expected.defect !== undefined
    ? { what: "defect", value: expected.defect } as const
    : { what: "answer", value: expected.answer } as const
  const received = endOf(exit)
  if (wanted.what !== received.what) {
    const isOpen = wanted.what === "answer" && !("answer" in expected)
    return {
      what: `${wanted.what} / ${received.what}`,
      lines: [
        `- ${isOpen ? "any answer" : `the ${wanted.what} ${show(wanted.value)}`}`,
        `+ the ${received.what} ${show(received.value)}`
      ],
      expected: wanted.value,
      actual: received.value
    }
  }
  if (wanted.what === "answer" && !("answer" in expected) || areSame(wanted.value, received.value)) return undefined
  return {
    what: wanted.what,
    lines: differences(wanted.value, received.value),
    expected: wanted.value,
    actual: received.value
  }
}

const endOf = (
  exit: Exit.Exit<unknown, unknown>
): { readonly what: "answer" | "failure" | "defect" | "interruption"; readonly value: unknown } => {
  if (Exit.isSuccess(exit)) return { what: "answer", value: exit.value }
  const failure = Cause.failureOption(exit.cause)
  if (failure._tag === "Some") return { what: "failure", value: failure.value }
  const defect = Cause.dieOption(exit.cause)
  return defect._tag === "Some"
    ? { what: "defect", value: defect.value }
    : { what: "interruption", value: undefined }
}

/** As an event of the expected ones' classes, or, if it is of none of them, by name and payload. */
const read = (message: Message, wanted: ReadonlyArray<Event.Integration>): Effect.Effect<object> => {
  const event = wanted.map((one) => one.constructor as unknown as Event.ClassOf<Event.Integration>)
    .find(({ eventName }) => eventName === message.name)
  const foreign = Effect.sync((): object => ({ _tag: message.name, ...contentOf(message) }))
  return event === undefined ? foreign : Effect.orElse(Serialization.decode(event, message), () => foreign)
}

const contentOf = ({ contentEncoding, contentType, payload }: Message): object =>
  contentType.startsWith("application/json") && contentEncoding === "identity"
    ? Option.getOrElse(
      Option.filter(Option.liftThrowable(JSON.parse)(new TextDecoder().decode(payload)), Predicate.isRecord),
      () => ({ payload })
    )
    : { payload }
