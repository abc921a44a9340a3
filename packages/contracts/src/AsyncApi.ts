/**
 * A contract as an AsyncAPI 3.0 document, for a broker: what other tools render, generate code from and validate with.
 *
 * Sources: AsyncAPI 3.0.0; the Kafka binding 0.5.0 and the AMQP binding 0.3.0 of asyncapi/bindings; CloudEvents 1.0.2 with its
 * Kafka and AMQP protocol bindings.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Announced, Contract, ContractError } from "./Contract.ts"
import { componentsOf } from "./internal/components.ts"
import type { JsonSchema } from "./internal/jsonSchema.ts"
import * as JsonSchemas from "./JsonSchemas.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whose bindings and header names the document has. */
  readonly broker: "kafka" | "amqp"
  /** By name. */
  readonly servers?: Readonly<Record<string, Server>> | undefined
  /** The media type of payloads, where `Serialization` has another codec. Default `application/json`. */
  readonly contentType?: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Server {
  /** With its port: `kafka-1.internal:9093`. Credentials have no place here. */
  readonly host: string
  /** Default: `kafka-secure` or `amqps`. */
  readonly protocol?: string | undefined
  readonly description?: string | undefined
}

/**
 * A document, as plain JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface Document {
  readonly asyncapi: "3.0.0"
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly defaultContentType: string
  readonly servers?: Readonly<Record<string, unknown>>
  readonly channels: Readonly<Record<string, unknown>>
  readonly operations: Readonly<Record<string, unknown>>
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>
    readonly messages: Readonly<Record<string, unknown>>
  }
}

/**
 * Makes the document.
 *
 * Each topic is a channel. With RabbitMQ a topic is an exchange, and each queue of a consumer's group (`group.topic`) is a
 * channel, too. What the program announces are operations that send, one for each topic; what its consumers read are
 * operations that receive, one for each group and topic. Messages are CloudEvents in binary mode: the payload is the
 * body, and the attributes are the headers. Schemas that several events have in common stand once.
 *
 * `x-event-kind`, `x-schema-version`, `x-read-versions` and `x-partition-key` of a message say what AsyncAPI has no word
 * for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (contract: Contract, options: Options): Effect.Effect<Document, ContractError> =>
  Effect.map(JsonSchemas.make(contract), ({ events: schemas }) => {
    const contentType = options.contentType ?? "application/json"
    const protocol = protocols[options.broker]
    const { refs, schemas: components } = componentsOf(
      Object.fromEntries(contract.events.map(({ event }) => [event.eventName, schemas[event.eventName]!.payload]))
    )
    const topics = [...new Set(contract.events.map(({ event }) => event.topic))].sort()
    const inTopic = (topic: string) => contract.events.filter(({ event }) => event.topic === topic)
    const queues = options.broker === "kafka" ?
      [] :
      contract.consumers.flatMap(({ events, group }) =>
        [...new Set(events.map(({ topic }) => topic))].map((topic) => ({ group, topic, name: `${group}.${topic}` }))
      )
    return {
      asyncapi: "3.0.0",
      info: {
        title: contract.title,
        version: contract.version,
        ...(contract.description === undefined ? {} : { description: contract.description })
      },
      defaultContentType: contentType,
      ...(options.servers === undefined ? {} : {
        servers: Object.fromEntries(
          Object.entries(options.servers).map(([name, server]) => [key(name), {
            host: server.host,
            protocol: server.protocol ?? protocol.secure,
            ...(server.description === undefined ? {} : { description: server.description })
          }])
        )
      }),
      channels: Object.fromEntries([
        ...topics.map((topic) => [key(topic), {
          address: topic,
          messages: messagesOf(inTopic(topic)),
          bindings: protocol.topic(topic)
        }]),
        ...queues.map(({ group, name, topic }) => [key(name), {
          address: name,
          description: `The queue of the group ${group}, bound to the exchange ${topic} with #.`,
          messages: messagesOf(inTopic(topic)),
          bindings: {
            amqp: {
              is: "queue",
              queue: { name, durable: true, exclusive: false, autoDelete: false },
              bindingVersion: "0.3.0"
            }
          }
        }])
      ]),
      operations: Object.fromEntries([
        ...topics.flatMap((topic) => {
          const sent = inTopic(topic).filter(({ announced }) => announced)
          return sent.length === 0 ? [] : [[key(`send ${topic}`), {
            action: "send",
            channel: { $ref: `#/channels/${key(topic)}` },
            summary: `Announces ${sent.map(({ event }) => event.eventName).join(", ")}`,
            messages: refsOf(topic, sent),
            ...protocol.send
          }]]
        }),
        ...contract.consumers.flatMap(({ events, group }) =>
          [...new Set(events.map(({ topic }) => topic))].map((topic) => {
            const read = inTopic(topic).filter(({ event }) => events.includes(event))
            const channel = options.broker === "kafka" ? topic : `${group}.${topic}`
            return [key(`receive ${group} ${topic}`), {
              action: "receive",
              channel: { $ref: `#/channels/${key(channel)}` },
              summary: `The group ${group} reads ${read.map(({ event }) => event.eventName).join(", ")}`,
              messages: refsOf(channel, read),
              ...protocol.receive(group)
            }]
          })
        )
      ]),
      components: {
        schemas: components,
        messages: Object.fromEntries(
          contract.events.map((one) => [
            key(one.event.eventName),
            messageOf(one, { contentType, protocol, payload: { $ref: refs[one.event.eventName]! } })
          ])
        )
      }
    }
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Keys of AsyncAPI are of letters, digits, `.`, `_` and `-`. */
const key = (name: string): string => name.replace(/[^\w.-]+/g, "_")

const messagesOf = (events: ReadonlyArray<Announced>) =>
  Object.fromEntries(
    events.map(({ event }) => [key(event.eventName), { $ref: `#/components/messages/${key(event.eventName)}` }])
  )

const refsOf = (channel: string, events: ReadonlyArray<Announced>) =>
  events.map(({ event }) => ({ $ref: `#/channels/${key(channel)}/messages/${key(event.eventName)}` }))

interface Protocol {
  readonly secure: string
  readonly prefix: string
  readonly topic: (topic: string) => JsonSchema
  readonly send: JsonSchema
  readonly receive: (group: string) => JsonSchema
  readonly message: (one: Announced) => JsonSchema
}

const protocols: { readonly [B in Options["broker"]]: Protocol } = {
  kafka: {
    secure: "kafka-secure",
    prefix: "ce_",
    topic: (topic) => ({ kafka: { topic, bindingVersion: "0.5.0" } }),
    send: {},
    receive: (group) => ({
      bindings: { kafka: { groupId: { type: "string", enum: [group] }, bindingVersion: "0.5.0" } }
    }),
    message: ({ key }) =>
      key === null ? {} : {
        bindings: {
          kafka: {
            key: { type: "string", description: key === undefined ? "Computed from the payload." : key },
            bindingVersion: "0.5.0"
          }
        }
      }
  },
  amqp: {
    secure: "amqps",
    prefix: "cloudEvents_",
    topic: (topic) => ({
      amqp: {
        is: "routingKey",
        exchange: { name: topic, type: "topic", durable: true, autoDelete: false },
        bindingVersion: "0.3.0"
      }
    }),
    send: {
      bindings: { amqp: { deliveryMode: 2, mandatory: true, timestamp: false, ack: true, bindingVersion: "0.3.0" } }
    },
    receive: () => ({ bindings: { amqp: { ack: true, bindingVersion: "0.3.0" } } }),
    message: ({ event }) => ({ bindings: { amqp: { messageType: event.eventName, bindingVersion: "0.3.0" } } })
  }
}

const messageOf = (
  one: Announced,
  { contentType, payload, protocol }: {
    readonly contentType: string
    readonly payload: JsonSchema
    readonly protocol: Protocol
  }
) => {
  const { event, key: partitionKey } = one
  const header = (name: string) => `${protocol.prefix}${name}`
  return {
    name: event.eventName,
    title: event.eventName,
    summary: event.kind === "ecst" ? "Carries the state." : "Says that it has happened.",
    contentType,
    correlationId: {
      description: "Which request it belongs to.",
      location: `$message.header#/${header("correlationid")}`
    },
    headers: {
      type: "object",
      required: ["specversion", "id", "source", "type"].map(header),
      properties: Object.fromEntries(attributesOf(one).map(([name, schema]) => [header(name), schema]))
    },
    payload,
    ...protocol.message(one),
    "x-event-kind": event.kind,
    "x-schema-version": event.version,
    "x-read-versions": [...event.upcasts.map(({ version }) => version), event.version],
    ...(partitionKey === undefined ? {} : { "x-partition-key": partitionKey })
  }
}

const attributesOf = ({ event, key }: Announced): ReadonlyArray<readonly [string, JsonSchema]> => [
  ["specversion", { type: "string", enum: ["1.0"] }],
  ["id", { type: "string", description: "The same whenever the message is delivered again." }],
  ["source", { type: "string", format: "uri-reference" }],
  ["type", { type: "string", enum: [event.eventName] }],
  ["time", { type: "string", format: "date-time" }],
  ["eventkind", { type: "string", enum: [event.kind] }],
  ["schemaversion", { type: "string", enum: [String(event.version)] }],
  ...(key === null ? [] : [["partitionkey", { type: "string" }] as const]),
  ["sequence", { type: "string", description: "Its place in the outbox it came from: grows along a key." }],
  ["correlationid", { type: "string" }],
  ["causationid", { type: "string" }],
  ["traceparent", { type: "string" }]
]
