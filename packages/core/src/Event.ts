/**
 * Events: domain events that stay in the process, and notification and ECST events that leave it.
 *
 * @since 0.1.0
 */
import { unsafeCoerce } from "effect/Function"
import type * as Schema from "effect/Schema"
import { makeEvent } from "./internal/event.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~@effect-cqrs/core/Event"

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * - `domain`: something happened; handled in this process, and lost with it.
 * - `notification`: something happened; other services are told, and ask if they want to know more.
 * - `ecst`: event-carried state transfer; the event carries the state, so that nobody has to ask.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "domain" | "notification" | "ecst"

/**
 * What the types of an event say, carried by its instances.
 *
 * @since 0.1.0
 * @category models
 */
export interface Info<out K extends Kind, out Name extends string> {
  readonly kind: K
  readonly name: Name
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly [TypeId]: Info<any, any>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Domain {
  readonly [TypeId]: Info<"domain", any>
}

/**
 * An event that leaves the process: a notification or an ECST event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Integration {
  readonly [TypeId]: Info<"notification" | "ecst", any>
}

/**
 * @since 0.1.0
 * @category models
 */
export type KindOf<Ev extends Any> = Ev[TypeId]["kind"]

/**
 * @since 0.1.0
 * @category models
 */
export type NameOf<Ev extends Any> = Ev[TypeId]["name"]

/**
 * The class of an event, taken by its instances so that TypeScript infers the instance's type.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClassOf<Ev> {
  new(...args: any): Ev
  readonly eventName: string
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Class<Self, K extends Kind, Name extends string, P extends Schema.Struct.Fields> extends
  Schema.Class<
    Self,
    { readonly _tag: Schema.tag<Name> } & P,
    Schema.Struct.Encoded<{ readonly _tag: Schema.tag<Name> } & P>,
    Schema.Struct.Context<P>,
    Schema.Struct.Constructor<P>,
    { readonly [TypeId]: Info<K, Name> },
    {}
  >
{
  readonly _tag: Name
  readonly eventName: Name
  readonly kind: K
}

/**
 * The class of an event that leaves the process.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntegrationClass<
  Self,
  K extends "notification" | "ecst",
  Name extends string,
  P extends Schema.Struct.Fields,
  Topic extends string
> extends Class<Self, K, Name, P> {
  readonly topic: Topic
  /** The version of the payload's schema. */
  readonly version: number
  /** The partition key: events of one topic and key are delivered in order. `undefined`: no order, spread at will. */
  readonly partitionKey: (event: Schema.Struct.Type<P>) => string | undefined
  /** Whether transactions that announce it wait for each other, key by key. */
  readonly keyLock: boolean
  /** The older versions that are read, from the oldest on. */
  readonly upcasts: ReadonlyArray<{ readonly version: number; readonly payload: Schema.Struct.Fields }>
}

/**
 * How an event that leaves the process is declared.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntegrationOptions<
  P extends Schema.Struct.Fields,
  Topic extends string,
  V extends number = number,
  Olds extends Versions = {}
> {
  /** Where it goes: a Kafka topic, a RabbitMQ exchange. */
  readonly topic: Topic
  /** The fields, as of a `Schema.Struct`. */
  readonly payload?: P | undefined
  /** The partition key, from the payload. Without it, events of the topic have no order among themselves. */
  readonly key?: ((event: Schema.Struct.Type<NoInfer<P>>) => string) | undefined
  /**
   * Orders events of one key whose transactions have no row in common, which `Outbox.add` alone leaves unordered: when
   * such a transaction commits it takes a lock of its topic and key, and one that commits beside it waits for its end.
   * It costs no round trip. Needs a `key`. Default `false`.
   */
  readonly keyLock?: boolean | undefined
  /** The version of the payload's schema, a whole number from 1 (the default). It is what is written. */
  readonly version?: V | undefined
  /**
   * How messages of older versions are read, by version: what the payload was, and what the version after it has in its
   * place. They are decoded as what they were, take each step in turn, and what a step makes is validated.
   *
   * An older version without a step is a `SerializationError` that says `UnknownVersion`, and so a dead letter of its
   * consumer. A newer version is read as today's if it fits, and so is an older one of an event without any upcasts: a
   * version that has added an optional field needs no step. A message that says no version has version 1.
   */
  readonly upcasts?: Upcasts<Olds, NoInfer<P>> | undefined
}

/**
 * The payloads that older versions of an event had.
 *
 * @since 0.1.0
 * @category models
 */
export interface Versions extends Readonly<Record<number, Schema.Struct.Fields>> {}

/**
 * Steps from older versions of an event to today's, each of which makes the version after its own.
 *
 * @since 0.1.0
 * @category models
 */
export type Upcasts<Olds extends Versions, P extends Schema.Struct.Fields> = {
  readonly [N in keyof Olds]: {
    /** The fields as they were. */
    readonly payload: Olds[N]
    /** Makes what the next version has: with the defaults that are right for what was written then. It is pure. */
    readonly to: (old: TypeOf<Olds[N]>) => TypeOf<VersionAt<Olds, Successor<N>, P>>
  }
}

/**
 * The constructor of event classes that leave the process.
 *
 * @since 0.1.0
 * @category models
 */
export interface MakeIntegration<K extends "notification" | "ecst"> {
  <Self = never>(): <
    const Name extends string,
    const Topic extends string,
    P extends Schema.Struct.Fields = {},
    const V extends number = 1,
    Olds extends Versions = {}
  >(
    name: Name,
    // the payload's type, not `Self`: reading `Self` here would be circular
    options: IntegrationOptions<P, Topic, V, Olds> & LockedByKey
  ) => [Self] extends [never] ? MissingSelf<K>
    : [ServicesOf<P | Olds[keyof Olds]>] extends [never]
      ? [Hole<Olds, V>] extends [never] ? IntegrationClass<Self, K, Name, P, Topic>
      : `Nothing leads from version ${Successor<
        Hole<Olds, V>
      >} of ${Name} to version ${V}: each upcast makes the version after its own`
    : FieldsWithServices<Name>
}

/**
 * Declares a domain event: emitted by a handler, handled in this process after the commit, never sent anywhere. Throws a
 * sentence if its name is empty.
 *
 * @example
 * ```ts
 * import { Event } from "@effect-cqrs/core"
 * import { Schema } from "effect"
 *
 * class UserJoined extends Event.domain<UserJoined>()("UserJoined", { userId: Schema.String }) {}
 *
 * export const event = new UserJoined({ userId: "ada" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const domain: <Self = never>() => <const Name extends string, P extends Schema.Struct.Fields = {}>(
  name: Name,
  fields?: P
) => [Self] extends [never] ? MissingSelf<"domain">
  : [Schema.Struct.Context<P>] extends [never] ? Class<Self, "domain", Name, P>
  : FieldsWithServices<Name> = () => (name, fields) => unsafeCoerce(makeEvent("domain", name, { payload: fields }))

/**
 * Declares a notification event. Its name is its name on the wire and in stored rows: choose it once. The class may be
 * renamed freely.
 *
 * Throws a sentence if the name or the topic is empty, the version is not a whole number from 1, a `keyLock` is asked for
 * without a `key`, or an upcast leads nowhere.
 *
 * @example
 * ```ts
 * import { Event } from "@effect-cqrs/core"
 * import { Schema } from "effect"
 *
 * class RoomClosed extends Event.notification<RoomClosed>()("meeting_room_closed", {
 *   topic: "meeting_room_notifications",
 *   payload: { roomId: Schema.String },
 *   key: (event) => event.roomId
 * }) {}
 *
 * export const event = new RoomClosed({ roomId: "blue" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const notification: MakeIntegration<"notification"> = () => (name, options) =>
  unsafeCoerce(makeEvent("notification", name, unsafeCoerce(options)))

/**
 * Declares an ECST event: as {@link notification}, carrying the state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ecst: MakeIntegration<"ecst"> = () => (name, options) =>
  unsafeCoerce(makeEvent("ecst", name, unsafeCoerce(options)))

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type MissingSelf<Usage extends string> =
  `Missing \`Self\` generic - use \`class Self extends Event.${Usage}<Self>()("name", ...) {}\``

type TypeOf<Fields> = Fields extends Schema.Struct.Fields ? Schema.Struct.Type<Fields> : never

type ServicesOf<Fields> = Fields extends Schema.Struct.Fields ? Schema.Struct.Context<Fields> : never

type Zeros<N extends string, A extends ReadonlyArray<0> = []> = `${A["length"]}` extends N ? A : Zeros<N, [...A, 0]>

/** As text: the keys of an inferred record are, whatever is written in the source. */
type Successor<N> = N extends string | number ? `${[...Zeros<`${N}`>, 0]["length"] & number}` : never

type At<Olds, N> = { [K in keyof Olds]: K extends string | number ? `${K}` extends N ? Olds[K] : never : never }[
  keyof Olds
]

type VersionAt<Olds, N, Today> = [At<Olds, N>] extends [never] ? Today : At<Olds, N>

/** The versions whose step leads to none that has a step, nor to today's. */
type Hole<Olds, V extends number> = {
  [N in keyof Olds]: Successor<N> extends `${(keyof Olds & (string | number)) | V}` ? never : N
}[keyof Olds]

/** A key lock needs a key. */
type LockedByKey = { readonly key: unknown } | { readonly keyLock?: false | undefined }

type FieldsWithServices<Name extends string> =
  `The schema of ${Name} asks for services: an event must be readable wherever it arrives`
