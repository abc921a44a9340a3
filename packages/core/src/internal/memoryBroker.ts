import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Broker, Delivery, Outcome } from "../Broker.ts"
import type { Message } from "../Message.ts"
import { requireWhole } from "./options.ts"

export interface MemoryOptions {
  /** How many unsettled messages a group may hold, and a topic that nobody has subscribed to. Default 65,536. */
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
  readonly ready: Set<Lane>
  /** Those who wait for one. All of them are woken: one that is being interrupted wakes nobody else. */
  readonly waiting: Set<() => void>
  unsettled: number
}

const makeReady = (group: Group, lane: Lane): void => {
  group.ready.add(lane)
  const waiting = [...group.waiting]
  group.waiting.clear()
  for (const wake of waiting) wake()
}

const untilReady = (group: Group): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const wake = () => resume(Effect.void)
    if (group.ready.size > 0) return wake()
    group.waiting.add(wake)
    return Effect.sync(() => group.waiting.delete(wake))
  })

/** Waits and then takes, in two steps: an interruption of the wait has nothing in hand that could be lost. */
const takeReady = (group: Group, restore: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>): Effect.Effect<Lane> =>
  Effect.suspend(() => {
    const [lane] = group.ready
    if (lane === undefined) return Effect.zipRight(restore(untilReady(group)), takeReady(group, restore))
    group.ready.delete(lane)
    return Effect.succeed(lane)
  })

const left = Exit.fail("The member has left its group")

const delivered: Outcome = { _tag: "Delivered" }

const full = (group: string, capacity: number): Outcome => ({
  _tag: "Retriable",
  scope: "destination",
  reason: `The group ${group} holds ${capacity} unsettled messages: its consumers are too slow, or gone`
})

const unheard = (topic: string, capacity: number): Outcome => ({
  _tag: "Retriable",
  scope: "destination",
  reason: `Nobody has subscribed to the topic ${topic}, which holds ${capacity} messages for its first group`
})

export const makeMemory = (
  options: MemoryOptions | undefined
): Effect.Effect<Context.Tag.Service<Broker>> =>
  Effect.sync(() => {
    requireWhole("The capacity of Broker.layerMemory", options?.capacity, 1)
    const capacity = options?.capacity ?? 65_536
    const groups = new Map<string, Group>()
    /** The messages of topics that no group has subscribed to yet. */
    const retained = new Map<string, Array<Message>>()
    let keyless = 0

    const retain = (message: Message): Outcome => {
      const messages = retained.get(message.topic)
      if (messages === undefined) retained.set(message.topic, [message])
      else if (messages.length >= capacity) return unheard(message.topic, capacity)
      else messages.push(message)
      return delivered
    }

    const enqueue = (group: Group, message: Message): void => {
      const name = message.key === undefined ? `${++keyless}` : JSON.stringify([message.topic, message.key])
      let lane = group.lanes.get(name)
      if (lane === undefined) group.lanes.set(name, lane = { name, messages: [] })
      lane.messages.push({ message, redeliveries: 0 })
      group.unsettled += 1
      if (lane.messages.length === 1) makeReady(group, lane)
    }

    const offer = (message: Message): Outcome => {
      const subscribed = [...groups].filter(([, group]) => group.topics.has(message.topic))
      if (subscribed.length === 0) return retain(message)
      const overfull = subscribed.find(([, group]) => group.unsettled >= capacity)
      if (overfull !== undefined) return full(overfull[0], capacity)
      for (const [, group] of subscribed) enqueue(group, message)
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
      else makeReady(group, lane)
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
        Effect.flatMap(Effect.scope, (membership) => {
          let group = groups.get(subscription.group)
          if (group === undefined) {
            groups.set(
              subscription.group,
              group = { topics: new Set(), lanes: new Map(), ready: new Set(), waiting: new Set(), unsettled: 0 }
            )
          }
          const joined = group
          for (const topic of subscription.topics) {
            joined.topics.add(topic)
            for (const message of retained.get(topic) ?? []) enqueue(joined, message)
            retained.delete(topic)
          }
          const out = new Set<(exit: Exit.Exit<unknown, unknown>) => void>()
          const take = Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(takeReady(joined, restore), (lane) => {
              const end = (exit: Exit.Exit<unknown, unknown>) => {
                if (out.delete(end)) settle(joined, lane, exit)
              }
              out.add(end)
              return Effect.as(
                Effect.flatMap(
                  Effect.scope,
                  (scope) => Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => end(exit)))
                ),
                lane.messages[0]!
              )
            })
          )
          return Effect.as(
            Scope.addFinalizer(
              membership,
              Effect.sync(() => {
                for (const end of [...out]) end(left)
              })
            ),
            { take }
          )
        })
    }
  })
