import type { PartitionAssigner } from "kafkajs"
import kafkajs from "kafkajs"

/**
 * What the coordinator of a group knows one of kafkajs's consumers by.
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
      const { response } = exchange
      const decode = (raw: unknown) =>
        response.decode(raw).then((answer) => {
          const { memberId } = answer as { readonly memberId?: string }
          // the coordinator names it even where it wants to be asked once more
          if (memberId !== undefined && memberId !== "") id = memberId
          return answer
        })
      return send({ ...exchange, response: { ...response, decode } }).finally(() => {
        asking -= 1
      })
    }
    const leave = (exchange: Exchange) =>
      send(exchange).then((answer) => {
        id = undefined
        return answer
      })
    Object.assign(pool, {
      send: (exchange: Exchange) => {
        const { apiName } = exchange.request
        return apiName === "JoinGroup" ? join(exchange) : apiName === "LeaveGroup" ? leave(exchange) : send(exchange)
      }
    })
  }

  return {
    assigner: (config) => {
      const cluster = config.cluster as unknown as Cluster
      const find = cluster.findGroupCoordinator.bind(cluster)
      cluster.findGroupCoordinator = (group) =>
        hasEnded ? refused() : options.beforeJoin().then(() => find(group)).then((broker) => {
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

interface Cluster {
  findGroupCoordinator: (group: { readonly groupId: string }) => Promise<{ readonly connectionPool: ConnectionPool }>
}
