import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { IHeaders, Message } from "kafkajs"
import kafkajs from "kafkajs"
import { detailsOf, isCoordinatorUnsettled, NodesError } from "./classification.ts"
import {
  type Broker,
  candidly,
  clusterOf,
  type ConnectionPool,
  type Partitioned,
  type RawFetched,
  type RawOffset
} from "./node.ts"
import { encode } from "./produceRequest.ts"
import { kafkaConfig, type Settings } from "./settings.ts"
import * as Sockets from "./socket.ts"
import { unavailable } from "./topology.ts"
import { withoutAborted } from "./transactions.ts"

/**
 * All that is asked of Kafka, but for membership in groups. One request is one effect; what fails in it fails as kafkajs
 * has it, and verdicts on topics and partitions are codes in the answers.
 *
 * kafkajs's producer and admin client are not used: they throw on the first of several verdicts and hide the others, roll
 * sequence numbers back that the broker has seen, and resend on connections that answer no more. This goes one level
 * deeper, to its connection to one node with its requests and encodings.
 */
export interface Client {
  /** Which nodes there are and what they lead, of some topics. No topic is made by asking. */
  readonly metadata: (topics: ReadonlyArray<string>) => Effect.Effect<Metadata, unknown>
  readonly producerId: Effect.Effect<{ readonly producerId: string; readonly producerEpoch: number }, unknown>
  readonly produce: (node: number, request: ProduceRequest) => Effect.Effect<ReadonlyArray<Produced>, unknown>
  readonly configs: (
    topics: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<{ readonly topic: string; readonly values: ReadonlyMap<string, string> }>, unknown>
  readonly createTopics: (
    topics: ReadonlyArray<NewTopic>,
    timeout: number
  ) => Effect.Effect<ReadonlyArray<{ readonly topic: string; readonly errorCode: number }>, unknown>
  /** The offsets of all partitions of a topic: the first that is there, or that of the next message. */
  readonly offsets: (
    node: number,
    topic: string,
    partitions: ReadonlyArray<number>,
    which: "earliest" | "latest"
  ) => Effect.Effect<ReadonlyArray<Offset>, unknown>
  readonly fetch: (
    node: number,
    from: { readonly topic: string; readonly partition: number; readonly offset: number; readonly maxBytes: number }
  ) => Effect.Effect<Fetched, unknown>
  readonly group: (group: string) => Effect.Effect<{ readonly errorCode: number; readonly state: string }, unknown>
  /** Without one, -1. */
  readonly committed: (
    group: string,
    topic: string,
    partitions: ReadonlyArray<number>
  ) => Effect.Effect<ReadonlyArray<Offset>, unknown>
  /** For a group without members. */
  readonly commit: (
    group: string,
    topic: string,
    offsets: ReadonlyArray<{ readonly partition: number; readonly offset: number }>
  ) => Effect.Effect<ReadonlyArray<{ readonly partition: number; readonly errorCode: number }>, unknown>
  readonly leave: (group: string, memberId: string) => Effect.Effect<void, unknown>
  /** Gives up the connections to a node, and what waits there. */
  readonly drop: (node: number) => Effect.Effect<void>
  readonly close: Effect.Effect<void>
}

export interface Metadata {
  readonly brokers: ReadonlyArray<{ readonly nodeId: number; readonly host: string; readonly port: number }>
  readonly topicMetadata: ReadonlyArray<{
    readonly topic: string
    readonly topicErrorCode: number
    readonly partitionMetadata: ReadonlyArray<{
      readonly partitionId: number
      readonly partitionErrorCode: number
      readonly leader: number
      readonly replicas: ReadonlyArray<number>
    }>
  }>
}

export interface ProduceRequest {
  readonly topicData: ReadonlyArray<{
    readonly topic: string
    readonly partitions: ReadonlyArray<{
      readonly partition: number
      readonly firstSequence: number
      readonly messages: ReadonlyArray<Message>
    }>
  }>
  readonly producerId: string
  readonly producerEpoch: number
  readonly compression: number
  readonly timeout: number
}

interface Produced {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
}

interface NewTopic {
  readonly topic: string
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly configEntries: ReadonlyArray<{ readonly name: string; readonly value: string }>
}

interface Offset {
  readonly partition: number
  readonly errorCode: number
  readonly offset: number
}

interface Fetched {
  readonly errorCode: number
  readonly records: ReadonlyArray<Record>
  /** Where to go on. */
  readonly next: number
}

/** A message as kafkajs reads it. */
export interface Record {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: IHeaders | undefined
}

export const make = (settings: Settings): Client => {
  const sockets = Sockets.make(settings.redirect)
  const cluster = clusterOf(new kafkajs.Kafka(kafkaConfig(settings, sockets.factory)))
  const nodes = new Map<number, Node>()
  const addresses = new Map<number, Sockets.Address>()
  const given = settings.brokers.map(Sockets.addressOf)
  let turn = 0
  let seed: Node | undefined

  const nodeAt = (address: Sockets.Address, nodeId: number | undefined): Effect.Effect<Node, unknown> =>
    Effect.map(
      attempt(() => cluster.connectionPoolBuilder.build(address)),
      (connectionPool) => {
        const { host, port } = connectionPool
        const send = connectionPool.send.bind(connectionPool)
        Object.assign(connectionPool, {
          send: (exchange: Parameters<ConnectionPool["send"]>[0]) =>
            send(exchange).catch((error) => {
              // kafkajs would ask again on a connection that is silent, though nobody may be waiting any more
              if (detailsOf(error).name === "KafkaJSRequestTimeoutError") sockets.cut({ host, port })
              return Promise.reject(error)
            })
        })
        const broker = cluster.brokerPool.createBroker({
          connectionPool,
          logger: cluster.rootLogger,
          ...(nodeId === undefined ? {} : { nodeId })
        })
        return { broker, candid: candidly(broker), address: { host, port }, connecting: undefined }
      }
    )

  /** kafkajs calls a connection one on which it has not asked yet what the node can do. */
  const isConnected = (node: Node): boolean => node.connecting === undefined && node.broker.isConnected()

  const connected = (node: Node, forget: () => void): Effect.Effect<Node, unknown> =>
    isConnected(node) ? Effect.succeed(node) : Effect.as(
      attempt(() =>
        node.connecting ??= node.broker.connect().catch((error) => {
          // half a login is not one to go on with
          forget()
          sockets.cut(node.address)
          return Promise.reject(error)
        }).finally(() => {
          node.connecting = undefined
        })
      ),
      node
    )

  const nodeOf = (nodeId: number): Effect.Effect<Node, unknown> =>
    Effect.suspend(() => {
      const known = nodes.get(nodeId)
      const made = known !== undefined
        ? Effect.succeed(known)
        : Effect.suspend(() => {
          const address = addresses.get(nodeId)
          if (address === undefined) return Effect.fail(unavailable(`No node ${nodeId} is known of the cluster`))
          return Effect.map(nodeAt(address, nodeId), (node) => {
            const other = nodes.get(nodeId)
            if (other !== undefined) return other
            nodes.set(nodeId, node)
            return node
          })
        })
      return Effect.flatMap(made, (node) => connected(node, () => nodes.delete(nodeId)))
    })

  /** Any node that answers: one that is connected, else one that is known, else one of those that were given. */
  const anyNode: Effect.Effect<Node, unknown> = Effect.suspend(() => {
    for (const node of nodes.values()) if (isConnected(node)) return Effect.succeed(node)
    if (seed !== undefined && isConnected(seed)) return Effect.succeed(seed)
    const first = turn++ % given.length
    const seeds = [...given.slice(first), ...given.slice(0, first)].map((address) =>
      Effect.flatMap(nodeAt(address, undefined), (node) => {
        seed = node
        return connected(node, () => {
          if (seed === node) seed = undefined
        })
      }).pipe(Effect.mapError(failedAt(address)))
    )
    const known = [...addresses].map(([nodeId, address]) => Effect.mapError(nodeOf(nodeId), failedAt(address)))
    return Effect.mapError(
      Effect.validateFirst([...seeds, ...known], (one) => one),
      (errors) => new NodesError(errors)
    )
  })

  const coordinator = (group: string): Effect.Effect<Node, unknown> =>
    Effect.flatMap(anyNode, ({ broker }) =>
      Effect.flatMap(
        attempt(() => broker.findGroupCoordinator({ groupId: group, coordinatorType: 0 })),
        ({ coordinator: { host, nodeId, port } }) => {
          addresses.set(nodeId, { host, port })
          return nodeOf(nodeId)
        }
      ))

  /** Asks whoever coordinates a group, again while that is being settled, as after the cluster's first start. */
  const ofGroup = <A>(
    group: string,
    ask: (node: Node) => Effect.Effect<A, unknown>,
    codesOf: (answer: A) => ReadonlyArray<number>
  ): Effect.Effect<A, unknown> =>
    Effect.flatMap(Clock.currentTimeMillis, (begun) => {
      const again: Effect.Effect<A, unknown> = Effect.zipRight(
        Effect.sleep(coordinatorPause),
        Effect.suspend(() => once)
      )
      const orAgain = (isUnsettled: boolean, otherwise: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> =>
        isUnsettled
          ? Effect.flatMap(Clock.currentTimeMillis, (now) => now - begun < settings.requestTimeout ? again : otherwise)
          : otherwise
      const once: Effect.Effect<A, unknown> = Effect.matchEffect(Effect.flatMap(coordinator(group), ask), {
        onFailure: (error) => orAgain(isCoordinatorUnsettled(Number(detailsOf(error).code)), Effect.fail(error)),
        onSuccess: (answer) => orAgain(codesOf(answer).some(isCoordinatorUnsettled), Effect.succeed(answer))
      })
      return once
    })

  const metadata: Client["metadata"] = (topics) =>
    Effect.flatMap(
      anyNode,
      ({ candid }) =>
        Effect.tap(attempt(() => candid.metadata(topics)), ({ brokers }) =>
          Effect.sync(() => {
            for (const { host, nodeId, port } of brokers) {
              const known = addresses.get(nodeId)
              addresses.set(nodeId, { host, port })
              if (known !== undefined && (known.host !== host || known.port !== port)) nodes.delete(nodeId)
            }
          }))
    )

  return {
    metadata,
    producerId: Effect.flatMap(anyNode, ({ broker }) => attempt(() => broker.initProducerId({}))),
    produce: (nodeId, request) =>
      Effect.flatMap(
        nodeOf(nodeId),
        ({ broker }) =>
          Effect.map(
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              const candid = candidly(broker, () => encode(request, now))
              return attempt(() => candid.produce({ ...request, acks: -1 }))
            }),
            ({ topics }) =>
              topics.flatMap(({ partitions, topicName }) =>
                partitions.map(({ errorCode, partition }) => ({ topic: topicName, partition, errorCode }))
              )
          )
      ),
    configs: (topics) =>
      Effect.flatMap(anyNode, ({ candid }) =>
        Effect.map(
          attempt(() => candid.describeConfigs({ resources: topics.map((name) => ({ type: topicResource, name })) })),
          ({ resources }) =>
            resources.filter(({ errorCode }) => errorCode === 0).map(({ configEntries, resourceName }) => ({
              topic: resourceName,
              values: new Map(configEntries.map(({ configName, configValue }) => [configName, configValue]))
            }))
        )),
    createTopics: (topics, timeout) =>
      Effect.flatMap(
        anyNode,
        ({ candid }) =>
          Effect.flatMap(attempt(() => candid.metadata([])), ({ controllerId }) =>
            Effect.flatMap(nodeOf(controllerId), (node) =>
              Effect.map(
                attempt(() =>
                  node.candid.createTopics({ topics, timeout })
                ),
                ({ topicErrors }) => topicErrors
              )))
      ),
    offsets: (nodeId, topic, partitions, which) =>
      Effect.flatMap(nodeOf(nodeId), ({ candid }) =>
        Effect.map(
          attempt(() =>
            candid.listOffsets({
              replicaId: -1,
              isolationLevel: 1,
              topics: [{
                topic,
                partitions: partitions.map((partition) => ({ partition, timestamp: which === "latest" ? -1 : -2 }))
              }]
            })
          ),
          ({ responses }) => numbered(responses)
        )),
    fetch: (nodeId, { maxBytes, offset, partition, topic }) =>
      Effect.flatMap(nodeOf(nodeId), ({ candid }) =>
        Effect.map(
          attempt(() =>
            candid.fetch({
              maxWaitTime: 100,
              minBytes: 1,
              maxBytes,
              isolationLevel: 1,
              topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes }] }]
            })
          ),
          ({ responses }) => fetchedOf(responses[0]?.partitions[0], offset)
        )),
    group: (group) =>
      ofGroup(
        group,
        ({ candid }) =>
          Effect.map(attempt(() => candid.describeGroups({ groupIds: [group] })), ({ groups }) => groups[0]!),
        ({ errorCode }) => [errorCode]
      ),
    committed: (group, topic, partitions) =>
      ofGroup(
        group,
        ({ candid }) =>
          Effect.map(
            attempt(() =>
              candid.offsetFetch({
                groupId: group,
                topics: [{ topic, partitions: partitions.map((partition) => ({ partition })) }]
              })
            ),
            ({ responses }) => numbered(responses)
          ),
        codes
      ),
    commit: (group, topic, offsets) =>
      ofGroup(
        group,
        ({ candid }) =>
          Effect.map(
            attempt(() =>
              candid.offsetCommit({
                groupId: group,
                groupGenerationId: -1,
                memberId: "",
                topics: [{
                  topic,
                  partitions: offsets.map(({ offset, partition }) => ({ partition, offset: String(offset) }))
                }]
              })
            ),
            ({ responses }) => responses.flatMap((response) => response.partitions)
          ),
        codes
      ),
    leave: (group, memberId) =>
      Effect.flatMap(
        coordinator(group),
        ({ broker }) => Effect.asVoid(attempt(() => broker.leaveGroup({ groupId: group, memberId })))
      ),
    drop: (nodeId) =>
      Effect.sync(() => {
        const node = nodes.get(nodeId)
        if (node === undefined) return
        nodes.delete(nodeId)
        sockets.cut(node.address)
      }),
    close: Effect.sync(() => sockets.cut())
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Node {
  readonly broker: Broker
  readonly candid: Broker
  readonly address: Sockets.Address
  connecting: Promise<void> | undefined
}

const topicResource = 2

/** Milliseconds. */
const coordinatorPause = 100

const failedAt = ({ host, port }: Sockets.Address) => (error: unknown) => ({ address: `${host}:${port}`, error })

const codes = (answers: ReadonlyArray<{ readonly errorCode: number }>): ReadonlyArray<number> =>
  answers.map(({ errorCode }) => errorCode)

const attempt = <A>(request: () => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: request, catch: (error) => error })

const numbered = (responses: Partitioned<RawOffset>["responses"]): ReadonlyArray<Offset> =>
  responses.flatMap(({ partitions }) =>
    partitions.map(({ errorCode, offset, partition }) => ({ partition, errorCode, offset: Number(offset) }))
  )

const fetchedOf = (fetched: RawFetched | undefined, from: number): Fetched => {
  if (fetched === undefined) return { errorCode: 0, records: [], next: from }
  // a compressed batch comes whole, with what lies before the offset that was asked for
  const messages = withoutAborted(fetched).messages.filter(({ offset }) => Number(offset) >= from)
  const last = messages[messages.length - 1]
  return {
    errorCode: fetched.errorCode,
    records: messages.filter(({ isControlRecord }) => isControlRecord !== true),
    next: last === undefined ? from : Number(last.offset) + 1
  }
}
