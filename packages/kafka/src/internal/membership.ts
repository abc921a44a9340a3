import type { PartitionAssigner } from "kafkajs"
import kafkajs from "kafkajs"
import type { Partitioned, RawFetched } from "./node.ts"
import { withoutAborted } from "./transactions.ts"

/**
 * What the coordinator of a group knows one of kafkajs's consumers by; and what its nodes send it, less what was given up.
 *
 * kafkajs forgets the id where joining fails in the middle, and does not leave then. To the coordinator that is a member
 * for whom the others have to wait, until its session ends.
 */
export interface Membership {
  /** To be the consumer's: this is how kafkajs gives its connections away. */
  readonly assigner: PartitionAssigner
  /** Given by the coordinator, and not left with. */
  readonly id: () => string | undefined
  /** It asked to join, and does not know its id yet. */
  readonly isAsking: () => boolean
  /** It asks to join no more. */
  readonly end: () => void
}

export const make = (options: {
  /** Run each time before a coordinator is looked for, which kafkajs does when it joins. */
  readonly beforeJoin: () => Promise<unknown>
}): Membership => {
  const watched = new WeakSet<ConnectionPool>()
  let id: string | undefined
  let asking = 0
  let hasEnded = false

  const refused = () => Promise.reject<never>(new Error("It has left the group"))

  const watch = (pool: ConnectionPool): void => {
    if (watched.has(pool)) return
    watched.add(pool)
    const send = pool.send.bind(pool)
    const join = (exchange: Exchange) => {
      if (hasEnded) return refused()
      asking += 1
      return send(decoding(exchange, (answer) => {
        const { memberId } = answer as { readonly memberId?: string }
        // the coordinator names it even where it wants to be asked once more
        if (memberId !== undefined && memberId !== "") id = memberId
        return answer
      })).finally(() => {
        asking -= 1
      })
    }
    const fetch = (exchange: Exchange) =>
      send(decoding(exchange, (answer) => {
        const fetched = answer as Partitioned<RawFetched>
        return {
          ...fetched,
          responses: fetched.responses.map((one) => ({ ...one, partitions: one.partitions.map(withoutAborted) }))
        }
      }))
    const leave = (exchange: Exchange) =>
      send(exchange).then((answer) => {
        id = undefined
        return answer
      })
    const special = new Map([["JoinGroup", join], ["LeaveGroup", leave], ["Fetch", fetch]])
    Object.assign(pool, {
      send: (exchange: Exchange) => (special.get(exchange.request.apiName) ?? send)(exchange)
    })
  }

  return {
    assigner: (config) => {
      const cluster = config.cluster as unknown as Cluster
      const findCoordinator = cluster.findGroupCoordinator.bind(cluster)
      const find = cluster.findBroker.bind(cluster)
      cluster.findGroupCoordinator = (group) =>
        hasEnded ? refused() : options.beforeJoin().then(() => findCoordinator(group))
      // also of a coordinator
      cluster.findBroker = (node) =>
        find(node).then((broker) => {
          watch(broker.connectionPool)
          return broker
        })
      return kafkajs.PartitionAssigners.roundRobin(config)
    },
    id: () => id,
    isAsking: () => asking > 0 && id === undefined,
    end: () => {
      hasEnded = true
    }
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Exchange {
  readonly request: { readonly apiName: string }
  readonly response: { readonly decode: (raw: unknown) => Promise<unknown> }
}

interface ConnectionPool {
  readonly send: (exchange: Exchange) => Promise<unknown>
}

interface Broker {
  readonly connectionPool: ConnectionPool
}

interface Cluster {
  findGroupCoordinator: (group: { readonly groupId: string }) => Promise<Broker>
  findBroker: (node: { readonly nodeId: string }) => Promise<Broker>
}

/** The same, whose answer is changed before kafkajs looks at it. */
const decoding = (exchange: Exchange, change: (answer: unknown) => unknown): Exchange => ({
  ...exchange,
  response: { ...exchange.response, decode: (raw) => exchange.response.decode(raw).then(change) }
})
