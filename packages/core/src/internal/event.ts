import { unsafeCoerce } from "effect/Function"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Event from "../Event.ts"
import { fastClass } from "./fastClass.ts"
import { refuse, requireText, requireWhole } from "./options.ts"
import { type Reading, readVersion, type Step, upcastsOf } from "./versions.ts"

/** What the run time knows of an event's class, behind its typed statics. */
export interface Definition extends Event.ClassOf<any>, Reading {
  readonly kind: Event.Kind
  readonly subscribersKey: string
  readonly topic: string
  readonly partitionKey: (event: any) => string | undefined
  readonly keyLock: boolean
  /** The payload without `_tag`, as it stands on the wire: the name is the message's. */
  readonly payloadSchema: Schema.Schema<any, unknown>
}

const typeId: Event.TypeId = "~@effect-cqrs/core/Event"

export const definitionOf = (event: object): Definition => unsafeCoerce(event.constructor)

export const makeEvent = (
  kind: Event.Kind,
  name: string,
  options: {
    readonly payload?: Schema.Struct.Fields | undefined
    readonly topic?: string | undefined
    readonly key?: ((event: any) => string) | undefined
    readonly keyLock?: boolean | undefined
    readonly version?: number | undefined
    readonly upcasts?: Readonly<Record<string, Step>> | undefined
  }
): Definition => {
  requireText(`The name of a ${kind} event`, name)
  if (kind !== "domain") requireText(`The topic of the event ${name}`, options.topic)
  requireWhole(`The version of the event ${name}`, options.version, 1)
  if (options.keyLock === true && options.key === undefined) {
    refuse(`The event ${name} asks for a keyLock and has no key: give it a \`key\`, or leave the lock out`)
  }
  const fields = options.payload ?? {}
  const version = options.version ?? 1
  const klass = fastClass(unsafeCoerce<unknown, Definition>(Schema.TaggedClass<object>(name)(name, fields)))
  const statics = {
    eventName: name,
    kind,
    subscribersKey: `@effect-cqrs/core/Subscribers/${name}`,
    topic: options.topic ?? "",
    version,
    upcasts: upcastsOf(name, { version, fields }, options.upcasts),
    partitionKey: options.key ?? (() => undefined),
    keyLock: options.keyLock ?? false,
    payloadSchema: Schema.Struct(fields),
    payloadFields: fields
  }
  Object.defineProperty(klass.prototype, typeId, { value: { kind, name } })
  return Object.assign(klass, statics)
}

/** Compiled once per schema: `Schema` caches by AST, this saves the look-up's own closures. */
const codecs = new WeakMap<object, {
  readonly encode: (value: unknown) => ReturnType<ReturnType<typeof ParseResult.encodeUnknownEither>>
  readonly decode: (value: unknown) => ReturnType<ReturnType<typeof ParseResult.decodeUnknownEither>>
}>()

const codecOf = (definition: Definition) => {
  let codec = codecs.get(definition.payloadSchema)
  if (codec === undefined) {
    codec = {
      encode: ParseResult.encodeUnknownEither(definition.payloadSchema),
      decode: ParseResult.decodeUnknownEither(definition.payloadSchema)
    }
    codecs.set(definition.payloadSchema, codec)
  }
  return codec
}

export const encodePayload = (event: object) => codecOf(definitionOf(event)).encode(event)

/** `version`: the message's. */
export const decodePayload = (definition: Definition, version: number, payload: unknown) =>
  readVersion(definition, version, payload, codecOf(definition).decode)
