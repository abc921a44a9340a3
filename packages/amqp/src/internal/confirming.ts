import type { ConfirmChannel, Message } from "amqplib"
import * as Either from "effect/Either"
import { Frames } from "./frames.ts"
import type { Properties } from "./packet.ts"

export interface ConfirmingEvents {
  readonly closed: (error: unknown) => void
  readonly returned: (message: Message) => void
  /** There is room again, after it was full. */
  readonly drained: () => void
}

/** A channel on which the server confirms what is published. */
export interface Confirming {
  /** `full`: it was taken, and no more is to follow before there is room. */
  readonly publish: (
    to: { readonly exchange: string; readonly routingKey: string },
    content: Buffer,
    properties: Properties,
    confirmed: (isTaken: boolean) => void
  ) => "ready" | "full" | { readonly error: unknown }
  readonly close: () => Promise<void>
}

/** A channel is full when so many pieces of what was published wait for the socket, each of many messages or a large one. */
export const highWaterMark = 16

/**
 * Publishes on a channel of amqplib. What is published in one go is handed over together, at the end of it; and each piece
 * that is handed over goes to the socket by one system call.
 */
export const publishing = (
  channel: ConfirmChannel,
  drained: ConfirmingEvents["drained"]
): Confirming["publish"] => {
  const { ch, connection, pushConfirmCallback } = channel as unknown as Internals
  const { buffer } = connection.channels[ch]!
  let isFull = false
  let isScheduled = false
  const frames = new Frames(ch, connection.frameMax, (some) => {
    if (!buffer.write(some)) isFull = true
  })
  const flush = (): void => {
    isScheduled = false
    frames.flush()
  }
  channel.on("drain", () => {
    isFull = false
    drained()
  })
  return (to, content, properties, confirmed) => {
    const answered = (cause: Error | null): void => {
      if (cause === null) confirmed(true)
      // or else the channel is closed, which is said once for all of them
      else if (cause.message === "message nacked") confirmed(false)
    }
    if (frames.add(to.exchange, to.routingKey, content, properties)) {
      pushConfirmCallback.call(channel, answered)
      if (!isScheduled) {
        isScheduled = true
        queueMicrotask(flush)
      }
      return isFull ? "full" : "ready"
    }
    frames.flush()
    const options = { ...properties, mandatory: true, persistent: true }
    const written = Either.try({
      try: () => channel.publish(to.exchange, to.routingKey, content, options, answered),
      catch: (error) => ({ error })
    })
    if (Either.isLeft(written)) return written.left
    if (!written.right) isFull = true
    return isFull ? "full" : "ready"
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** What amqplib does not declare of a channel. */
interface Internals {
  readonly ch: number
  readonly connection: {
    readonly frameMax: number
    /** By number; what is written there goes to the socket in order, each piece as a whole. */
    readonly channels: ReadonlyArray<{ readonly buffer: { readonly write: (frames: Buffer) => boolean } }>
  }
  /** Called when what is published next is confirmed, or not. */
  readonly pushConfirmCallback: (confirmed: (cause: Error | null) => void) => void
}
