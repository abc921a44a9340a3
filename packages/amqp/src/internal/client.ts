import { connect } from "amqplib"
import type { ChannelModel, GetMessage, Message, SocketOptions } from "amqplib"
import * as Either from "effect/Either"
import { type Confirming, type ConfirmingEvents, highWaterMark, publishing } from "./confirming.ts"

/**
 * All that is asked of amqplib. Callbacks, and not effects: what is called for each message is on the hot path. None of
 * the callbacks may throw, which would cost the connection.
 */
export interface Client {
  /** Host and port. */
  readonly address: string
  readonly connect: () => Promise<Connection>
}

export interface Connection {
  readonly confirming: (on: ConfirmingEvents) => Promise<Confirming>
  readonly channel: (on: { readonly closed: (error: unknown) => void }) => Promise<Channel>
  /** Why the server takes no messages for now. */
  readonly blocked: () => string | undefined
  /** Called once; at once if it is closed already. */
  readonly onClosed: (listener: (error: unknown) => void) => void
  readonly onBlocked: (listener: (reason: string) => void) => void
  /** Closes it in agreement with the server. */
  readonly close: () => Promise<void>
  /** Closes it without asking anybody: it answers no more. */
  readonly cut: (reason: string) => void
}

export interface Channel {
  readonly assertExchange: (name: string, type: string) => Promise<unknown>
  readonly checkExchange: (name: string) => Promise<unknown>
  readonly assertQueue: (name: string, args: Readonly<Record<string, unknown>>) => Promise<QueueState>
  readonly checkQueue: (name: string) => Promise<QueueState>
  readonly bindQueue: (queue: string, exchange: string, routingKey: string) => Promise<unknown>
  readonly prefetch: (count: number) => Promise<unknown>
  /** `null`: the server has cancelled the consumer, as when its queue was deleted. */
  readonly consume: (queue: string, received: (message: Message | null) => void) => Promise<{ consumerTag: string }>
  readonly cancel: (consumerTag: string) => Promise<unknown>
  readonly get: (queue: string) => Promise<GetMessage | false>
  readonly ack: (tag: number, allUpTo: boolean) => void
  readonly requeue: (tag: number) => void
  readonly close: () => Promise<void>
}

export interface QueueState {
  readonly messageCount: number
  readonly consumerCount: number
}

export const make = (address: string, url: string, options: SocketOptions): Client => ({
  address,
  connect: () => connect(url, options).then(connectionOf)
})

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** What amqplib does not declare of its connection. */
interface Internals {
  readonly stream: { readonly destroy: (error: Error) => void }
}

const connectionOf = (model: ChannelModel): Connection => {
  let blocked: string | undefined
  let closed: { readonly error: unknown } | undefined
  let failure: unknown
  const listeners: Array<(error: unknown) => void> = []
  const whenBlocked: Array<(reason: string) => void> = []
  model.on("error", (error: Error) => {
    failure = error
  })
  model.on("close", (error?: Error) => {
    closed = { error: error ?? failure }
    for (const listener of listeners) listener(closed.error)
  })
  model.on("blocked", (reason: string) => {
    blocked = reason
    for (const listener of whenBlocked) listener(reason)
  })
  model.on("unblocked", () => {
    blocked = undefined
  })
  return {
    blocked: () => blocked,
    onClosed: (listener) => {
      if (closed === undefined) listeners.push(listener)
      else listener(closed.error)
    },
    onBlocked: (listener) => {
      whenBlocked.push(listener)
    },
    close: () => model.close(),
    cut: (reason) => (model.connection as unknown as Internals).stream.destroy(new Error(reason)),
    confirming: (on) =>
      model.createConfirmChannel({ highWaterMark }).then((channel) => {
        let error: unknown
        channel.on("error", (cause: unknown) => {
          error = cause
        })
        channel.on("close", () => on.closed(error ?? failure))
        channel.on("return", on.returned)
        return {
          publish: publishing(channel, on.drained),
          close: () => channel.close()
        }
      }),
    channel: (on) =>
      model.createChannel().then((channel) => {
        let error: unknown
        channel.on("error", (cause: unknown) => {
          error = cause
        })
        channel.on("close", () => on.closed(error ?? failure))
        const tagged = (deliveryTag: number) => ({ fields: { deliveryTag } }) as Message
        // a channel that is closed has given back all its messages, so there is nothing to be said of them
        const say = (what: () => void): void => void Either.try(what)
        return {
          assertExchange: (name, type) => channel.assertExchange(name, type, { durable: true }),
          checkExchange: (name) => channel.checkExchange(name),
          assertQueue: (name, args) => channel.assertQueue(name, { durable: true, arguments: args }),
          checkQueue: (name) => channel.checkQueue(name),
          bindQueue: (queue, exchange, routingKey) => channel.bindQueue(queue, exchange, routingKey),
          prefetch: (count) => channel.prefetch(count),
          consume: (queue, received) => channel.consume(queue, received),
          cancel: (consumerTag) => channel.cancel(consumerTag),
          get: (queue) => channel.get(queue),
          ack: (tag, allUpTo) => say(() => channel.ack(tagged(tag), allUpTo)),
          requeue: (tag) => say(() => channel.nack(tagged(tag), false, true)),
          close: () => channel.close()
        }
      })
  }
}
