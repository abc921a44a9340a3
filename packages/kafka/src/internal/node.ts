import kafkajs from "kafkajs"
import type { Metadata, ProduceRequest, Record } from "./client.ts"
import type { Encoded } from "./produceRequest.ts"
import type * as Sockets from "./socket.ts"

/** kafkajs's class for a node, as far as it is used. */
export interface Broker {
  readonly connectionPool: ConnectionPool
  readonly isConnected: () => boolean
  readonly connect: () => Promise<void>
  readonly metadata: (topics: ReadonlyArray<string>) => Promise<Metadata & { readonly controllerId: number }>
  readonly initProducerId: (request: object) => Promise<{ readonly producerId: string; readonly producerEpoch: number }>
  readonly produce: (
    request: ProduceRequest & { readonly acks: -1 }
  ) => Promise<{
    readonly topics: ReadonlyArray<{
      readonly topicName: string
      readonly partitions: ReadonlyArray<{ readonly partition: number; readonly errorCode: number }>
    }>
  }>
  readonly describeConfigs: (request: object) => Promise<{
    readonly resources: ReadonlyArray<{
      readonly errorCode: number
      readonly resourceName: string
      readonly configEntries: ReadonlyArray<{ readonly configName: string; readonly configValue: string }>
    }>
  }>
  readonly createTopics: (request: object) => Promise<{
    readonly topicErrors: ReadonlyArray<{ readonly topic: string; readonly errorCode: number }>
  }>
  readonly listOffsets: (request: object) => Promise<Partitioned<RawOffset>>
  readonly fetch: (request: object) => Promise<Partitioned<RawFetched>>
  readonly findGroupCoordinator: (request: object) => Promise<{
    readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number }
  }>
  readonly describeGroups: (request: object) => Promise<{
    readonly groups: ReadonlyArray<{ readonly errorCode: number; readonly state: string }>
  }>
  readonly leaveGroup: (request: object) => Promise<unknown>
  readonly offsetFetch: (request: object) => Promise<Partitioned<RawOffset>>
  readonly offsetCommit: (
    request: object
  ) => Promise<Partitioned<{ readonly partition: number; readonly errorCode: number }>>
}

export interface Partitioned<A> {
  readonly responses: ReadonlyArray<{ readonly partitions: ReadonlyArray<A> }>
}

export interface RawOffset {
  readonly partition: number
  readonly errorCode: number
  readonly offset: string
}

export interface RawFetched {
  readonly errorCode: number
  readonly messages: ReadonlyArray<
    Record & {
      readonly isControlRecord?: boolean
      /** Absent of messages that are older than transactions. */
      readonly batchContext?: { readonly producerId?: string; readonly inTransaction?: boolean }
    }
  >
  /** Of this range; `null`, or absent, for none. */
  readonly abortedTransactions?: ReadonlyArray<{ readonly producerId: string; readonly firstOffset: string }> | null
}

export interface ConnectionPool {
  readonly host: string
  readonly port: number
  readonly send: (exchange: {
    readonly request: { readonly encode: () => Promise<unknown> }
    readonly response: { readonly decode: unknown }
  }) => Promise<unknown>
  readonly destroy: () => Promise<void>
}

export interface Cluster {
  readonly rootLogger: unknown
  readonly connectionPoolBuilder: {
    readonly build: (address: Sockets.Address) => Promise<ConnectionPool>
  }
  readonly brokerPool: { readonly createBroker: (options: object) => Broker }
}

/** kafkajs gives its cluster away to those who assign partitions, and to nobody else. */
export const clusterOf = (kafka: kafkajs.Kafka): Cluster => {
  let cluster: unknown
  kafka.consumer({
    groupId: "none",
    allowAutoTopicCreation: false,
    partitionAssigners: [(config) => {
      cluster = config.cluster
      return kafkajs.PartitionAssigners.roundRobin(config)
    }]
  })
  return cluster as Cluster
}

/**
 * The same node, whose answers are not parsed, which is where kafkajs throws on the first verdict it finds; `encode`
 * writes the body of its request.
 */
export const candidly = (broker: Broker, encode?: () => Promise<Encoded>): Broker => {
  const { connectionPool } = broker
  return Object.create(broker, {
    connectionPool: {
      value: {
        send: (exchange: Parameters<ConnectionPool["send"]>[0]) =>
          connectionPool.send({
            ...exchange,
            ...(encode === undefined ? {} : { request: { ...exchange.request, encode } }),
            response: {
              ...exchange.response,
              parse: (data: unknown) => Promise.resolve(data)
            } as typeof exchange.response
          }),
        destroy: () => connectionPool.destroy()
      }
    }
  }) as Broker
}
