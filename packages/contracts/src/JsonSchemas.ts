/**
 * A contract as one JSON document: the schemas of all payloads, with topics, keys and versions. It is what is kept beside
 * the code and compared with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Contract, ContractError } from "./Contract.ts"
import { type JsonSchema, jsonSchemaOf } from "./internal/jsonSchema.ts"

const JsonSchemaDocument = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/**
 * What is said of an event. `key` is the partition key in terms of the payload's fields (`{roomId}`), `null` if there is
 * none, and left out if it is computed in a way that does not show. `older` are the versions that are read by upcasts.
 *
 * @since 0.1.0
 * @category schemas
 */
export const EventDocument = Schema.Struct({
  kind: Schema.Literal("notification", "ecst"),
  topic: Schema.String,
  key: Schema.optionalWith(Schema.NullOr(Schema.String), { exact: true }),
  version: Schema.Int,
  announced: Schema.Boolean,
  consumed: Schema.Boolean,
  payload: JsonSchemaDocument,
  older: Schema.Record({ key: Schema.String, value: JsonSchemaDocument })
})

/**
 * @since 0.1.0
 * @category models
 */
export type EventDocument = typeof EventDocument.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const RequestDocument = Schema.Struct({
  kind: Schema.Literal("command", "query"),
  payload: JsonSchemaDocument,
  success: JsonSchemaDocument,
  failure: JsonSchemaDocument
})

/**
 * @since 0.1.0
 * @category models
 */
export type RequestDocument = typeof RequestDocument.Type

/**
 * The whole: events by name, requests by id, the events of each consumer by its group. `contract` is the version of this
 * form.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Document = Schema.Struct({
  contract: Schema.Literal(1),
  title: Schema.String,
  version: Schema.String,
  events: Schema.Record({ key: Schema.String, value: EventDocument }),
  requests: Schema.Record({ key: Schema.String, value: RequestDocument }),
  consumers: Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) })
})

/**
 * @since 0.1.0
 * @category models
 */
export type Document = typeof Document.Type

/**
 * Makes the document. Each schema stands by itself, with its own `$defs`: of the payload as it is on the wire, open for
 * further properties, which readers leave unread. Valid as draft-07, and as 2020-12 where it has no tuples.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (contract: Contract): Effect.Effect<Document, ContractError> =>
  Effect.gen(function*() {
    const events: Record<string, EventDocument> = {}
    for (const { announced, consumed, event, key } of contract.events) {
      const older: Record<string, JsonSchema> = {}
      for (const { payload, version } of event.upcasts) {
        older[version] = yield* jsonSchemaOf(
          Schema.Struct(payload),
          `Version ${version} of the event ${event.eventName}`
        )
      }
      const { _tag, ...fields } = event.fields
      events[event.eventName] = {
        kind: event.kind,
        topic: event.topic,
        ...(key === undefined ? {} : { key }),
        version: event.version,
        announced,
        consumed,
        payload: yield* jsonSchemaOf(Schema.Struct(fields), `The event ${event.eventName}`),
        older
      }
    }
    const requests: Record<string, RequestDocument> = {}
    for (const { request } of contract.handlers) {
      const { _tag, ...fields } = request.fields
      requests[request.id] = {
        kind: request.kind,
        payload: yield* jsonSchemaOf(Schema.Struct(fields), `The ${request.kind} ${request.id}`),
        success: yield* jsonSchemaOf(request.success, `The success of ${request.id}`),
        failure: yield* jsonSchemaOf(request.failure, `The failure of ${request.id}`)
      }
    }
    return {
      contract: 1 as const,
      title: contract.title,
      version: contract.version,
      events,
      requests,
      consumers: Object.fromEntries(
        contract.consumers.map(({ events, group }) => [group, events.map(({ eventName }) => eventName)])
      )
    }
  })
