import type { Message } from "@effect-cqrs/core/Message"
import { partitionOf, type Topology } from "../Topology.ts"

export interface Route {
  readonly exchange: string
  readonly routingKey: string
}

export type Routing = (message: Message) => Route

/** How many queues a topic is spread over; `undefined` if it is not. */
export const partitionsOf = (topology: Topology, topic: string): number | undefined =>
  topology.exchanges?.find(({ name }) => name === topic)?.partitions

export const make = (
  topology: Topology,
  custom: ((message: Message) => Route | undefined) | undefined
): Routing => {
  const partitioned = new Map<string, number>()
  for (const { name, partitions } of topology.exchanges ?? []) {
    if (partitions !== undefined) partitioned.set(name, partitions)
  }
  return (message) => {
    const chosen = custom?.(message)
    if (chosen !== undefined) return chosen
    const partitions = partitioned.get(message.topic)
    const routingKey = partitions === undefined
      ? message.name
      : `${message.name}.${partitionOf(message.key ?? message.id, partitions)}`
    return { exchange: message.topic, routingKey }
  }
}
