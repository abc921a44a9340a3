/**
 * What a change of a contract breaks: for those who read what is announced, and for what was announced before.
 *
 * @since 0.1.0
 */
import { type Misfit, misfits } from "./internal/subset.ts"
import type { Document, EventDocument, RequestDocument } from "./JsonSchemas.ts"

/**
 * For whom a change breaks something.
 *
 * - `consumers`: those that run today cannot read, or do not find, what the changed program announces or answers.
 * - `producers`: the changed program cannot read what was announced or is sent by those that run today: messages that wait
 *   in topics, outboxes and dead letters among them.
 *
 * @since 0.1.0
 * @category models
 */
export type Side = "consumers" | "producers"

/**
 * @since 0.1.0
 * @category models
 */
export type Rule =
  | "added"
  | "bounds-changed"
  | "consumer-removed"
  | "event-removed"
  | "field-added"
  | "field-removed"
  | "key-changed"
  | "kind-changed"
  | "optional-changed"
  | "request-removed"
  | "topic-changed"
  | "type-changed"
  | "unclear"
  | "upcast-changed"
  | "upcast-removed"
  | "values-changed"
  | "version-lowered"
  | "version-not-raised"

/**
 * @since 0.1.0
 * @category models
 */
export interface Finding {
  /** The event's name, the request's id or the consumer's group. */
  readonly subject: string
  /** The place in the payload (`seats`, `rows[].n`); empty for the whole. */
  readonly path: string
  readonly rule: Rule
  /** For whom it breaks something; empty if it is harmless. */
  readonly breaks: ReadonlyArray<Side>
  readonly message: string
}

/**
 * Compares a contract with an older one, as `JsonSchemas.make` has made them.
 *
 * What is announced is compared in both directions: today's consumers have to read the new messages, and the changed
 * program the old ones, which a declared upcast from their version does in the payload's stead. Readers leave unread what
 * they do not know, so a field that is added breaks nobody, unless it is required of messages that do not have it.
 *
 * A partition key is compared as it shows itself (`{roomId}`): one that is computed otherwise is not seen to change. What
 * a field means is not seen either, nor what is within a text: a `Date` and a number as text are alike, and so is what a
 * filter without `jsonSchema` refuses.
 *
 * @since 0.1.0
 * @category combinators
 */
export const compare = (before: Document, after: Document): ReadonlyArray<Finding> => [
  ...paired(before.events, after.events).flatMap(([name, old, today]) => eventFindings(name, old, today)),
  ...paired(before.requests, after.requests).flatMap(([id, old, today]) => requestFindings(id, old, today)),
  ...paired(before.consumers, after.consumers).flatMap(([group, old, today]): ReadonlyArray<Finding> =>
    old !== undefined && today === undefined
      ? [finding(group, "consumer-removed", [], "is no more. Under another name it would begin its topics anew")]
      : []
  )
]

/**
 * @since 0.1.0
 * @category accessors
 */
export const isBreaking = ({ breaks }: Finding): boolean => breaks.length > 0

/**
 * The findings as lines of text, what breaks something first.
 *
 * @since 0.1.0
 * @category accessors
 */
export const text = (findings: ReadonlyArray<Finding>): string =>
  [
    ...sorted(findings).map((one) => `${isBreaking(one) ? "breaking" : "harmless"}  ${placeOf(one)} ${one.message}`),
    summaryOf(findings),
    ""
  ].join("\n")

/**
 * The findings as Markdown, for a pull request.
 *
 * @since 0.1.0
 * @category accessors
 */
export const markdown = (findings: ReadonlyArray<Finding>): string =>
  [
    "### Contract",
    "",
    summaryOf(findings),
    ...(findings.length === 0 ? [] : ["", "| | where | what | breaks |", "| --- | --- | --- | --- |"]),
    ...sorted(findings).map((one) =>
      `| ${isBreaking(one) ? "⛔" : "✅"} | \`${cell(placeOf(one))}\` | ${cell(one.message)} | ${
        one.breaks.join(", ")
      } |`
    ),
    ""
  ].join("\n")

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const paired = <A>(
  before: Readonly<Record<string, A>>,
  after: Readonly<Record<string, A>>
): ReadonlyArray<[string, A | undefined, A | undefined]> =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().map((name) => [
    name,
    Object.hasOwn(before, name) ? before[name] : undefined,
    Object.hasOwn(after, name) ? after[name] : undefined
  ])

const finding = (subject: string, rule: Rule, breaks: ReadonlyArray<Side>, message: string, path = ""): Finding => ({
  subject,
  path,
  rule,
  breaks,
  message
})

const eventFindings = (
  name: string,
  before: EventDocument | undefined,
  after: EventDocument | undefined
): ReadonlyArray<Finding> => {
  const of = (rule: Rule, breaks: ReadonlyArray<Side>, message: string) => finding(name, rule, breaks, message)
  if (before === undefined) return [of("added", [], "is new")]
  if (after === undefined || (before.announced && !after.announced)) {
    return [
      before.announced
        ? of("event-removed", ["consumers"], "is announced no more: whoever reads it waits for ever")
        : of("event-removed", [], "is read no more")
    ]
  }
  const found: Array<Finding> = []
  if (before.topic !== after.topic) {
    found.push(
      of(
        "topic-changed",
        ["consumers"],
        `moves from the topic ${before.topic} to ${after.topic}: announce it ` +
          "under a new name there, and under this one until nobody reads the old topic"
      )
    )
  }
  if (before.key !== undefined && after.key !== undefined && before.key !== after.key) {
    found.push(
      of(
        "key-changed",
        ["consumers"],
        `has the partition key ${keyText(after.key)}, which was ${
          keyText(before.key)
        }: unless it is the same value under another name, what is announced now is in no order with what was announced before, and replaces nothing in a compacted topic`
      )
    )
  } else if ((before.key === undefined) !== (after.key === undefined)) {
    found.push(of("key-changed", [], "has a partition key that is computed: whether it has changed does not show"))
  }
  if (before.kind !== after.kind) found.push(of("kind-changed", [], `is ${after.kind}, and was ${before.kind}`))
  if (after.version < before.version) {
    found.push(
      of(
        "version-lowered",
        ["consumers", "producers"],
        `has version ${after.version}, after ${before.version}: ` +
          "versions count up"
      )
    )
  }
  const upcast = after.older[before.version]
  const payload = changesOf(name, {
    before: before.payload,
    after: after.payload,
    forward: before.announced,
    backward: upcast === undefined,
    remedy: ` Declare an upcast from version ${before.version}`
  })
  if (upcast !== undefined) {
    for (const { detail, kind, path } of misfits(before.payload, upcast)) {
      found.push(
        finding(
          name,
          "upcast-changed",
          ["producers"],
          `is not what version ${before.version} was: the upcast ` +
            `from there reads ${tell(kind, detail)}`,
          path
        )
      )
    }
  }
  for (const version of Object.keys(before.older)) {
    if (after.older[version] === undefined) {
      found.push(
        of(
          "upcast-removed",
          ["producers"],
          `reads version ${version} no more: keep the upcast for as long as such ` +
            "messages may be in topics, outboxes and dead letters"
        )
      )
    }
  }
  if (after.version === before.version && payload.some(isBreaking)) {
    found.push(
      of(
        "version-not-raised",
        ["producers"],
        `has changed and is still version ${after.version}: raise it, so that ` +
          "old and new messages can be told apart"
      )
    )
  }
  return [...payload, ...found]
}

const requestFindings = (
  id: string,
  before: RequestDocument | undefined,
  after: RequestDocument | undefined
): ReadonlyArray<Finding> => {
  if (before === undefined) return [finding(id, "added", [], "is new")]
  if (after === undefined) return [finding(id, "request-removed", ["producers"], "can be asked no more")]
  return [
    ...changesOf(id, { before: before.payload, after: after.payload, forward: false, backward: true, remedy: "" }),
    ...(["success", "failure"] as const).flatMap((part) =>
      changesOf(id, { before: before[part], after: after[part], forward: true, backward: false, remedy: "" }).map(
        (one): Finding => ({ ...one, path: one.path === "" ? `(${part})` : `(${part}) ${one.path}` })
      )
    )
  ]
}

interface Change {
  readonly before: Readonly<Record<string, unknown>>
  readonly after: Readonly<Record<string, unknown>>
  /** Whether what is written now is read by those of before. */
  readonly forward: boolean
  /** Whether what was written before is read now. */
  readonly backward: boolean
  readonly remedy: string
}

const changesOf = (subject: string, { after, backward, before, forward, remedy }: Change): ReadonlyArray<Finding> => {
  const unread = forward ? misfits(after, before) : []
  const unreadable = backward ? misfits(before, after) : []
  const found = [
    ...unread.map((one) => {
      const both = unreadable.some((other) => other.path === one.path && ruleOf(other, false) === ruleOf(one, true))
      return finding(
        subject,
        ruleOf(one, true),
        both ? ["consumers", "producers"] : ["consumers"],
        `${forwardText(one)}: consumers that run today ${one.kind === "unclear" ? "may not read" : "do not read"} it.${
          both ? ` Nor can what was announced before be read.${remedy}` : ""
        }`,
        one.path
      )
    }),
    ...unreadable.filter((one) =>
      !unread.some((other) => other.path === one.path && ruleOf(other, true) === ruleOf(one, false))
    ).map((one) =>
      finding(
        subject,
        ruleOf(one, false),
        ["producers"],
        `${backwardText(one)}: what was written before ${
          one.kind === "unclear" ? "may not be" : "is not"
        } read any more.${remedy}`,
        one.path
      )
    )
  ]
  const told = new Set(found.map(({ path }) => path))
  return [...found, ...fieldsChanged(subject, before, after).filter(({ path }) => !told.has(path))]
}

/** Fields that come and go without harm, at the top of the payload. */
const fieldsChanged = (
  subject: string,
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>
): ReadonlyArray<Finding> => {
  const old = namesOf(before)
  const today = namesOf(after)
  return [
    ...today.filter((name) => !old.includes(name)).map((name) =>
      finding(subject, "field-added", [], "is new. Who does not know it leaves it unread", name)
    ),
    ...old.filter((name) => !today.includes(name)).map((name) =>
      finding(subject, "field-removed", [], "is gone, and could be left out before", name)
    )
  ]
}

const namesOf = ({ properties }: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  typeof properties === "object" && properties !== null ? Object.keys(properties) : []

const ruleOf = ({ kind }: Misfit, isForward: boolean): Rule => {
  switch (kind) {
    case "missing":
      return isForward ? "field-removed" : "field-added"
    case "optional":
      return "optional-changed"
    case "values":
      return "values-changed"
    case "bounds":
      return "bounds-changed"
    case "type":
      return "type-changed"
    case "unexpected":
      return isForward ? "field-added" : "field-removed"
    case "unclear":
      return "unclear"
  }
}

const forwardText = ({ detail, kind }: Misfit): string => {
  switch (kind) {
    case "missing":
      return "is removed, and was required"
    case "optional":
      return "may be left out from now on, and was required"
    case "values":
      return `has new values, ${detail}`
    case "bounds":
      return `is wider than it was, ${detail}`
    case "type":
      return `has another type, ${detail}`
    case "unexpected":
      return "is new, and was forbidden"
    case "unclear":
      return detail
  }
}

const backwardText = ({ detail, kind }: Misfit): string => {
  switch (kind) {
    case "missing":
      return "is new and required, and old messages do not have it"
    case "optional":
      return "is required from now on, and could be left out"
    case "values":
      return `has lost the values ${detail}`
    case "bounds":
      return `is narrower than it was, and could be ${detail}`
    case "type":
      return `has another type: it was ${detail}`
    case "unexpected":
      return "is forbidden from now on"
    case "unclear":
      return detail
  }
}

const tell = (kind: Misfit["kind"], detail: string): string =>
  kind === "missing" || kind === "optional" ? "a field that it may not have" : `something else (${detail})`

const keyText = (key: string | null): string => key ?? "none"

const placeOf = ({ path, subject }: Finding): string => path === "" ? subject : `${subject}: ${path}`

const sorted = (findings: ReadonlyArray<Finding>): ReadonlyArray<Finding> => [
  ...findings.filter(isBreaking),
  ...findings.filter((one) => !isBreaking(one))
]

const summaryOf = (findings: ReadonlyArray<Finding>): string => {
  const breaking = findings.filter(isBreaking).length
  if (findings.length === 0) return "The contract has not changed."
  return breaking === 0
    ? `${findings.length} changed, nothing breaks.`
    : `${findings.length} changed, ${breaking} of them breaking.`
}

const cell = (value: string): string => value.replaceAll("|", "\\|")
