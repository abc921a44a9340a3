import * as Either from "effect/Either"
import { unsafeCoerce } from "effect/Function"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { refuse } from "./options.ts"

/** A step from a payload's version to the one after it, as it is declared. */
export interface Step {
  readonly payload: Schema.Struct.Fields
  readonly to: (old: any) => unknown
}

type Parse = (value: unknown) => Either.Either<unknown, ParseResult.ParseIssue>

/** An older version that is read. */
export interface Upcast {
  readonly version: number
  readonly payload: Schema.Struct.Fields
  readonly decode: Parse
  /** May throw: it is the user's. */
  readonly to: (old: unknown) => unknown
  /** The fields of the version after it, and whether what `to` has made fits them. */
  readonly next: Schema.Struct.Fields
  readonly validate: Parse
}

export interface Reading {
  readonly eventName: string
  readonly version: number
  readonly payloadFields: Schema.Struct.Fields
  readonly upcasts: ReadonlyArray<Upcast>
}

/** Why a payload is not read: `UnknownVersion` if nothing reads its version, whatever it carries. */
export interface Unread {
  readonly reason: "Undecodable" | "UnknownVersion"
  readonly message: string
}

/** The steps in the order of their versions; throws a sentence if one of them leads nowhere. */
export const upcastsOf = (
  name: string,
  today: { readonly version: number; readonly fields: Schema.Struct.Fields },
  steps: Readonly<Record<string, Step>> = {}
): ReadonlyArray<Upcast> => {
  const byVersion = new Map(Object.entries(steps).map(([from, step]) => [Number(from), step]))
  return [...byVersion].sort(([one], [other]) => one - other).map(([version, { payload, to }]) => {
    if (!Number.isSafeInteger(version) || version < 1) {
      refuse(`The event ${name} has an upcast from version ${version}: versions are whole numbers from 1`)
    }
    const following = version + 1
    const next = following === today.version ? today.fields : byVersion.get(following)?.payload
    if (next === undefined || following > today.version) {
      return refuse(
        `Nothing leads from version ${following} of the event ${name} to version ${today.version}: ` +
          "each upcast makes the version after its own, and the last one today's"
      )
    }
    return {
      version,
      payload,
      decode: ParseResult.decodeUnknownEither(
        unsafeCoerce<unknown, Schema.Schema<unknown, unknown>>(Schema.Struct(payload))
      ),
      to,
      next,
      validate: ParseResult.validateEither(Schema.typeSchema(Schema.Struct(next)))
    }
  })
}

/** A payload of any version as today's class has it: older ones take each step in turn. */
export const readVersion = (
  { eventName, payloadFields, upcasts, version: today }: Reading,
  version: number,
  payload: unknown,
  decode: Parse
): Either.Either<unknown, Unread> => {
  const first = upcasts.findIndex((upcast) => upcast.version === version)
  if (first === -1) {
    if (version < today && upcasts.length > 0) {
      return Either.left({
        reason: "UnknownVersion",
        message:
          `The message has version ${version} of ${eventName}, and versions ${upcasts[0]!.version} to ${today} ` +
          `are read here: declare an upcast from version ${version}`
      })
    }
    const what = version === today
      ? `The payload does not fit ${eventName}`
      : `The payload, of version ${version}, does not fit ${eventName} as it is here, in version ${today}`
    return parsed(eventName, decode, payload, misfit(what, payloadFields))
  }
  const oldest = upcasts[first]!
  let value = parsed(
    eventName,
    oldest.decode,
    payload,
    misfit(`The payload does not fit version ${version} of ${eventName}`, oldest.payload)
  )
  for (const { next, to, validate, version: from } of upcasts.slice(first)) {
    const upcast = `The upcast of ${eventName} from version ${from} to ${from + 1}`
    value = Either.flatMap(value, (old) =>
      // the text of what is thrown may carry what the payload carried
      Either.flatMap(Either.try({ try: () => to(old), catch: () => undecodable(`${upcast} threw`) }), (made) =>
        parsed(eventName, validate, made, misfit(`${upcast} makes what does not fit`, next))))
  }
  return value
}

/**
 * Where a value does not fit, and never the value: these texts are stored and logged. Only the event's own fields are
 * named, since deeper down, and where a field is not declared, a key may be somebody's data.
 */
export const whereIn = (fields: Schema.Struct.Fields, error: ParseResult.ParseIssue): string => {
  const places = ParseResult.ArrayFormatter.formatIssueSync(error).map(({ _tag, path: [field, ...deeper] }) => {
    if (field === undefined) return `${_tag} at the top`
    const named = Object.hasOwn(fields, field) ? String(field) : "…"
    return `${_tag} at ${deeper.length === 0 || named === "…" ? named : `${named}.…`}`
  })
  return [...new Set(places)].join(", ")
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const undecodable = (message: string): Unread => ({ reason: "Undecodable", message })

/** A transformation or a filter in a schema is the user's, and may throw: what it was given is then unreadable. */
const parsed = (
  eventName: string,
  parse: Parse,
  value: unknown,
  onMisfit: (issue: ParseResult.ParseIssue) => Unread
): Either.Either<unknown, Unread> =>
  Either.flatMap(
    Either.try({ try: () => parse(value), catch: () => undecodable(`The schema of ${eventName} threw`) }),
    Either.mapLeft(onMisfit)
  )

const misfit = (what: string, fields: Schema.Struct.Fields) => (issue: ParseResult.ParseIssue): Unread =>
  undecodable(`${what}: ${whereIn(fields, issue)}`)
