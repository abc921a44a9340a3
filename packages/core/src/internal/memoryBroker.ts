import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as MetricLabel from "effect/MetricLabel"
import type * as Scope from "effect/Scope"
import type { Broker, Outcome } from "../Broker.ts"
import * as Handout from "../Handout.ts"
import type { Message } from "../Message.ts"
import { consumerLag } from "../Metrics.ts"
import { requireWhole } from "./options.ts"

export interface MemoryOptions {
  /** How many unsettled messages a group may hold, and a topic that nobody has subscribed to. Default 65,536. */
  readonly capacity?: number | undefined
}

interface Group {
  readonly name: string
  readonly topics: Set<string>
  /** Of each topic, what lies behind that which is settled. */
  readonly lags: Map<string, Lag>
  readonly handout: Handout.Handout
}

interface Lag {
  count: number
  readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
}

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
): Effect.Effect<Context.Tag.Service<Broker>, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* Effect.sync(() => requireWhole("The capacity of Broker.layerMemory", options?.capacity, 1))
    const capacity = options?.capacity ?? 65_536
    const groups = new Map<string, Group>()
    /** The messages of topics that no group has subscribed to yet. */
    const retained = new Map<string, Array<Message>>()

    const retain = (message: Message): Outcome => {
      const messages = retained.get(message.topic)
      if (messages === undefined) retained.set(message.topic, [message])
      else if (messages.length >= capacity) return unheard(message.topic, capacity)
      else messages.push(message)
      return delivered
    }

    const behind = (group: Group, topic: string, change: number): void => {
      let lag = group.lags.get(topic)
      if (lag === undefined) {
        const labels = Object.entries({ group: group.name, topic, partition: "0" })
        group.lags.set(topic, lag = { count: 0, labels: labels.map(([key, value]) => MetricLabel.make(key, value)) })
      }
      lag.count += change
      consumerLag.unsafeUpdate(lag.count, lag.labels)
    }

    const enqueue = (group: Group, message: Message): void => {
      behind(group, message.topic, 1)
      group.handout.offer({
        deliver: () => ({
          message,
          unreadable: undefined,
          isTombstone: false,
          redeliveries: 0,
          forward: ({ headers, topic }) =>
            Effect.map(
              publish([{ ...message, topic, headers: mergedHeaders(message.headers, headers) }]),
              ([outcome]) => outcome!
            )
        }),
        lane: laneOf(message),
        origin: message.topic,
        onSettled: () => behind(group, message.topic, -1)
      })
    }

    const offer = (message: Message): Outcome => {
      const subscribed = [...groups].filter(([, group]) => group.topics.has(message.topic))
      if (subscribed.length === 0) return retain(message)
      const overfull = subscribed.find(([, group]) => group.handout.size() >= capacity)
      if (overfull !== undefined) return full(overfull[0], capacity)
      for (const [, group] of subscribed) enqueue(group, message)
      return delivered
    }

    const publish = (batch: ReadonlyArray<Message>): Effect.Effect<ReadonlyArray<Outcome>> =>
      Effect.sync(() => {
        const held = new Set<string>()
        return batch.map((message) => {
          const lane = laneOf(message)
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
      })

    const groupOf = (name: string): Group => {
      const known = groups.get(name)
      if (known !== undefined) return known
      const group: Group = { name, topics: new Set(), lags: new Map(), handout: Handout.make() }
      groups.set(name, group)
      return group
    }

    const subscribe = (group: Group, topic: string): void => {
      group.topics.add(topic)
      for (const message of retained.get(topic) ?? []) enqueue(group, message)
      retained.delete(topic)
    }

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const { lags } of groups.values()) {
          for (const { labels } of lags.values()) consumerLag.unsafeUpdate(0, labels)
        }
      })
    )

    return {
      system: "memory",
      publish,
      consume: (subscription) =>
        Effect.suspend(() => {
          const group = groupOf(subscription.group)
          for (const topic of subscription.topics) subscribe(group, topic)
          return group.handout.join
        }),
      sift: (queue, decide) =>
        Effect.suspend(() => {
          const group = groupOf(queue.group)
          subscribe(group, queue.topic)
          const taken = group.handout.takeAll()
          let settled = 0
          return Effect.forEach(taken, ({ delivery, end }) =>
            delivery.message.topic !== queue.topic ? Effect.void : Effect.map(decide(delivery), (what) => {
              end(what)
              if (what === "settled") settled += 1
            }), { discard: true }).pipe(
              Effect.ensuring(Effect.sync(() => {
                for (const { end } of taken) {
                  end("kept")
                }
              })),
              Effect.map(() =>
                settled
              )
            )
        }),
      check: Effect.void
    }
  })

const laneOf = ({ key, topic }: Message): string | undefined =>
  key === undefined ? undefined : JSON.stringify([topic, key])

const mergedHeaders = (
  headers: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | undefined>>
): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...headers, ...changes }).filter((entry): entry is [string, string] => entry[1] !== undefined)
  )
