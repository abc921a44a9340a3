import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type { Broker, Delivery, Outcome } from "../Broker.ts"
import type { Message } from "../Message.ts"

export interface MemoryOptions {
  /** How many unsettled messages a group may hold. Default 65,536. */
  readonly capacity?: number | undefined
}

/** The messages of one topic and key: the first of them may be out, the others wait behind it. */
interface Lane {
  readonly name: string
  readonly messages: Array<Delivery>
}

interface Group {
  readonly topics: Set<string>
  readonly lanes: Map<string, Lane>
  /** Lanes with a message to hand out and none out. */
  readonly ready: Queue.Queue<Lane>
  unsettled: number
}

const delivered: Outcome = { _tag: "Delivered" }

const full = (group: string, capacity: number): Outcome => ({
  _tag: "Retriable",
  scope: "destination",
  reason: `The group ${group} holds ${capacity} unsettled messages: its consumers are too slow, or gone`
})

export const makeMemory = (
  options: MemoryOptions | undefined
): Effect.Effect<Context.Tag.Service<Broker>> =>
  Effect.sync(() => {
    const capacity = options?.capacity ?? 65_536
    const groups = new Map<string, Group>()
    let keyless = 0

    const offer = (message: Message): Outcome => {
      const subscribed = [...groups].filter(([, group]) => group.topics.has(message.topic))
      const overfull = subscribed.find(([, group]) => group.unsettled >= capacity)
      if (overfull !== undefined) return full(overfull[0], capacity)
      for (const [, group] of subscribed) {
        const name = message.key === undefined ? `${++keyless}` : JSON.stringify([message.topic, message.key])
        let lane = group.lanes.get(name)
        if (lane === undefined) group.lanes.set(name, lane = { name, messages: [] })
        lane.messages.push({ message, redeliveries: 0 })
        group.unsettled += 1
        if (lane.messages.length === 1) group.ready.unsafeOffer(lane)
      }
      return delivered
    }

    const settle = (group: Group, lane: Lane, exit: Exit.Exit<unknown, unknown>): void => {
      const first = lane.messages[0]!
      if (Exit.isSuccess(exit)) {
        lane.messages.shift()
        group.unsettled -= 1
      } else {
        lane.messages[0] = { message: first.message, redeliveries: first.redeliveries + 1 }
      }
      if (lane.messages.length === 0) group.lanes.delete(lane.name)
      else group.ready.unsafeOffer(lane)
    }

    return {
      publish: (batch) =>
        Effect.sync(() => {
          const held = new Set<string>()
          return batch.map((message) => {
            const lane = message.key === undefined ? undefined : JSON.stringify([message.topic, message.key])
            if (lane !== undefined && held.has(lane)) {
              return {
                _tag: "Retriable",
                scope: "destination",
                reason: "An earlier message of its key was not delivered"
              }
            }
            const outcome = offer(message)
            if (lane !== undefined && outcome._tag !== "Delivered") held.add(lane)
            return outcome
          })
        }),
      consume: (subscription) =>
        Effect.map(Queue.unbounded<Lane>(), (ready) => {
          let group = groups.get(subscription.group)
          if (group === undefined) {
            groups.set(subscription.group, group = { topics: new Set(), lanes: new Map(), ready, unsettled: 0 })
          }
          for (const topic of subscription.topics) group.topics.add(topic)
          const joined = group
          return {
            take: Effect.uninterruptibleMask((restore) =>
              Effect.flatMap(restore(Queue.take(joined.ready)), (lane) =>
                Effect.as(
                  Effect.flatMap(Effect.scope, (scope) =>
                    Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => settle(joined, lane, exit)))),
                  lane.messages[0]!
                ))
            )
          }
        })
    }
  })
