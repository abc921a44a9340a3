/**
 * The brokers that are measured, each with its raw client beside the adapter.
 */
import type { Broker } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** How an adapter is set up. */
export interface Options {
  /** RabbitMQ: without waiting for the confirm of a key's message before its next one is sent. */
  readonly pipelined?: boolean | undefined
}

/** What a consumer by hand does with a message. Its id is read when it is asked for. */
type Handle = (message: { readonly body: Uint8Array; readonly id: () => string }) => Promise<void>

/** What is consumed by hand. */
export interface ByHand {
  readonly topic: string
  readonly group: string
  readonly count: number
  /** How many messages are handled at a time, those of a key one after the other. */
  readonly concurrency: number
  readonly handle: Handle
}

export interface Kind {
  /** As it stands in the names of rows. */
  readonly id: "kafka" | "rabbitmq"
  readonly title: string
  /** The environment variable of its address. */
  readonly variable: string
  /** A topic that was not there before, with a group waiting for what comes; both go with the scope. */
  readonly topic: (topic: string, group: string) => Effect.Effect<void, unknown, Scope.Scope>
  /** How many messages wait there for the group. */
  readonly count: (topic: string, group: string) => Effect.Effect<number, unknown>
  readonly layer: (options?: Options | undefined) => Layer.Layer<Broker, unknown>
  /**
   * The raw client's own best with the guarantees of the adapter: acknowledged by the broker, and in order by key. What can
   * be prepared is prepared before it is measured. Answers milliseconds.
   */
  readonly publish: (topic: string, messages: ReadonlyArray<Message>) => Effect.Effect<number, unknown>
  /**
   * The raw client's consume loop: so many messages, each handled before it is acknowledged. Answers the milliseconds from
   * the first to the last.
   */
  readonly consume: (byHand: ByHand) => Effect.Effect<number, unknown>
}

/** Without the prefix of a run. */
export const group = "readers"
