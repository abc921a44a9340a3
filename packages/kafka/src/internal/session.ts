import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { detailsOf } from "./classification.ts"
import type { Client } from "./client.ts"

/** A producer as the brokers know it: they write a record batch once by its id and the number of its first message. */
export interface Session {
  readonly producerId: string
  readonly producerEpoch: number
  /** The number of the first of so many messages for a partition. Each is given once, whatever becomes of them. */
  readonly next: (topic: string, partition: number, count: number) => number
}

/**
 * The session in use.
 *
 * Once a request was not answered with success throughout, its session is given up: whether its numbers were used is not
 * known then, or they were not, and Kafka takes no gap. Numbers that were used, given to other messages, would be
 * acknowledged by the brokers as duplicates, without having been written.
 */
export interface Sessions {
  readonly current: Effect.Effect<Session, unknown>
  readonly giveUp: (session: Session) => void
}

export const make = (client: Pick<Client, "producerId">): Effect.Effect<Sessions> =>
  Effect.map(Effect.makeSemaphore(1), (semaphore) => {
    let current: Session | undefined
    const assigned = Effect.retry(client.producerId, {
      while: (error) => detailsOf(error).type === "GROUP_LOAD_IN_PROGRESS",
      schedule: Schedule.spaced(loadingDelay)
    })
    const begin = Effect.map(assigned, ({ producerEpoch, producerId }) => {
      const numbers = new Map<string, number>()
      const session: Session = {
        producerId,
        producerEpoch,
        next: (topic, partition, count) => {
          const name = `${topic}/${partition}`
          const number = numbers.get(name) ?? 0
          numbers.set(name, number + count)
          if (number + count > lastNumber && current === session) current = undefined
          return number
        }
      }
      current = session
      return session
    })
    return {
      current: Effect.suspend(() =>
        current !== undefined ? Effect.succeed(current) : semaphore.withPermits(1)(
          Effect.suspend(() => current !== undefined ? Effect.succeed(current) : begin)
        )
      ),
      giveUp: (session) => {
        if (current === session) current = undefined
      }
    }
  })

/** A node that has just started says so for some seconds; in milliseconds. Who waits for it has a deadline. */
const loadingDelay = 100

/** Numbers are 32 bits, and begin again after that: long before, another session does. */
const lastNumber = 2 ** 31 - 2 ** 20
