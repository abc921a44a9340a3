import type { Message } from "@effect-cqrs/core/Message"
import { type DeadLetter, OutboxStorage, type StorageError } from "@effect-cqrs/core/OutboxStorage"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Entry, type Held, Recorder } from "../../Recorder.ts"
import { reasonOf } from "../recorder/deadLetter.ts"

/** What is left, a sentence each. */
export interface Finding {
  /** What is on its way. */
  readonly moving: ReadonlyArray<string>
  /** All of it waits behind dead letters. */
  readonly isStuck: boolean
  readonly dead: ReadonlyArray<string>
}

/** More of them are counted and not listed. */
const mostListed = 20

export const look: Effect.Effect<Finding, StorageError, Recorder | OutboxStorage> = Effect.gen(function*() {
  const recorder = yield* Recorder
  const storage = yield* OutboxStorage
  const entries = yield* recorder.entries
  const { dead, pending } = yield* storage.statistics
  const letters = dead === 0 ? [] : yield* storage.deadLetters({ limit: mostListed })
  const outbox = pending === 0 ? [] : yield* pendingOf(letters, entries)
  const now = yield* Clock.currentTimeMillis
  const held = (yield* recorder.held).map((one) => heldSentence(one, entries, now))
  const absent = (yield* recorder.absent).map((group) => `The group ${group} takes no messages at the moment`)
  const unlisted = pending - outbox.length
  return {
    moving: [
      ...outbox.map(({ sentence }) => sentence),
      ...(unlisted > 0 ? [`${unlisted} more wait in the outbox`] : []),
      ...held,
      ...absent
    ],
    isStuck: held.length + absent.length + unlisted === 0 && outbox.every(({ isStuck }) => isStuck),
    dead: [
      ...letters.map(({ message, reason }) => `The outbox has a dead letter, ${name(message)}: ${reason}`),
      ...(dead > letters.length ? [`${dead - letters.length} more dead letters are in the outbox`] : []),
      ...buriedBy(entries)
    ]
  }
})

interface Pending {
  readonly sentence: string
  readonly isStuck: boolean
}

const pendingOf = (
  letters: ReadonlyArray<DeadLetter>,
  recorded: ReadonlyArray<Entry>
): Effect.Effect<ReadonlyArray<Pending>, StorageError, OutboxStorage> =>
  Effect.gen(function*() {
    const storage = yield* OutboxStorage
    const buckets = Array.from({ length: storage.buckets }, (_, bucket) => bucket)
    const waiting = yield* storage.waiting(buckets)
    const due = new Map(waiting.flatMap((one) => one.due === undefined ? [] : [[one.sequence, one.due]]))
    const waits = yield* storage.pending([...due.keys()].slice(0, mostListed))
    const ready = yield* storage.read({
      from: buckets.map((bucket) => ({ bucket })),
      exceptTopics: [],
      limit: mostListed,
      maxBytes: Number.MAX_SAFE_INTEGER
    })
    const blockers = new Map(waiting.map((one) => [JSON.stringify([one.topic, one.key]), one]))
    return [
      ...waits.map(({ attempts, message, sequence }) => ({
        isStuck: false,
        sentence: `The outbox has ${name(message)}, which is tried again in ${Duration.format(due.get(sequence)!)} ` +
          `after ${attempts} attempts: ${answerTo(message, recorded) ?? "nobody has recorded why"}`
      })),
      ...ready.map(({ message, sequence }) => {
        const blocker = message.key === undefined
          ? undefined
          : blockers.get(JSON.stringify([message.topic, message.key]))
        const behind = blocker !== undefined && blocker.sequence < sequence ? blocker : undefined
        const isStuck = behind !== undefined && behind.due === undefined
        const why = behind === undefined
          ? answerTo(message, recorded) ??
            "nobody has tried to publish it. Is a relay running? Testbed.layerRunning has one"
          : behind.due === undefined
          ? `it waits behind the dead letter ${nameIn(letters, behind.sequence)}of its key`
          : "it waits behind one of its key that is tried again"
        return { isStuck, sentence: `The outbox has ${name(message)}: ${why}` }
      })
    ]
  })

const name = ({ key, name, topic }: Message): string =>
  `${name} (topic ${topic}${key === undefined ? "" : `, key ${key}`})`

const nameIn = (letters: ReadonlyArray<DeadLetter>, sequence: bigint): string => {
  const letter = letters.find((one) => one.sequence === sequence)
  return letter === undefined ? "" : `${letter.message.name} `
}

type Published = Extract<Entry, { readonly _tag: "Published" }>

const lastPublished = (
  recorded: ReadonlyArray<Entry>,
  isMeant: (message: Message) => boolean
): Published | undefined =>
  Option.getOrUndefined(
    Arr.findLast(recorded, (entry): entry is Published => entry._tag === "Published" && isMeant(entry.message))
  )

/** What the broker has last said of a message. */
const answerTo = ({ id }: Message, recorded: ReadonlyArray<Entry>): string | undefined => {
  const last = lastPublished(recorded, (message) => message.id === id)
  switch (last?.outcome._tag) {
    case undefined:
      return undefined
    case "Delivered":
      return "it is delivered, and not settled"
    case "Rejected":
      return `the broker refuses it: ${last.outcome.reason}`
    case "Retriable":
      return `${last.outcome.scope === "broker" ? "the broker" : "its destination"} is out: ${last.outcome.reason}`
  }
}

const heldSentence = ({ group, message, redeliveries, since }: Held, recorded: ReadonlyArray<Entry>, now: number) => {
  const refused = lastPublished(recorded, (one) => one.id === message.id && reasonOf(one) !== undefined)
  const why = refused !== undefined && refused.outcome._tag !== "Delivered"
    ? `it is to be a dead letter (${
      reasonOf(refused.message)
    }), which the broker does not take: ${refused.outcome.reason}`
    : "a handler is at work, or waits for its next attempt"
  return `The group ${group} holds ${name(message)} for ${Duration.format(now - since)}` +
    `${redeliveries === 0 ? "" : `, handed out ${redeliveries + 1} times`}: ${why}`
}

/** What consumers have given up, and nobody has taken from where it is. */
const buriedBy = (recorded: ReadonlyArray<Entry>): ReadonlyArray<string> => {
  const letters = new Map<string, string>()
  for (const entry of recorded) {
    if (entry._tag !== "Published" && entry._tag !== "Consumed") continue
    const { message } = entry
    const id = JSON.stringify([message.topic, message.id])
    if (entry._tag === "Consumed") {
      if (entry.how === "settled") letters.delete(id)
    } else if (entry.outcome._tag === "Delivered" && reasonOf(message) !== undefined) {
      letters.set(id, `A consumer has given up ${name(message)}: ${reasonOf(message)}`)
    }
  }
  return [...letters.values()]
}
