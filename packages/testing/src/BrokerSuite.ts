/**
 * The promises of brokers, as a suite that every adapter runs.
 *
 * @since 0.1.0
 */
import type { Broker } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { acknowledgementCases } from "./internal/broker/acknowledgement.ts"
import { deadLetterCases } from "./internal/broker/deadLetters.ts"
import { foreignCases } from "./internal/broker/foreign.ts"
import { forwardCases } from "./internal/broker/forward.ts"
import { groupCases } from "./internal/broker/groups.ts"
import { kitOf } from "./internal/broker/kit.ts"
import { limitCases } from "./internal/broker/limits.ts"
import { messageCases } from "./internal/broker/messages.ts"
import { networkCases } from "./internal/broker/network.ts"
import { orderCases } from "./internal/broker/order.ts"
import { outcomeCases } from "./internal/broker/outcomes.ts"
import { relayCases } from "./internal/broker/relay.ts"
import { restartCases } from "./internal/broker/restart.ts"
import { siftCases } from "./internal/broker/sift.ts"
import { takeManyCases } from "./internal/broker/takeMany.ts"
import type { Proxy } from "./Proxy.ts"
import type { Feature, Runner } from "./Suite.ts"

/**
 * What the suite must be told of a broker. `R` is what the features need, as an admin client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts<R> extends Runner {
  /** A broker for a case of this name. */
  readonly layer: (name: string) => Layer.Layer<Broker | R, unknown>
  /** Makes a topic of this name that did not exist before, empty and ready, and answers with what it is called. */
  readonly topic: (name: string) => Effect.Effect<string, unknown, Broker | R>
  /** Members of a group that take at the same time handle each key in order. */
  readonly ordered: Feature<true>
  /** The broker knows whether it has handed out a message before. */
  readonly countsRedeliveries: Feature<true>
  /** The broker with room for so many unsettled messages in a group, which refuses more. */
  readonly capacity: Feature<(name: string, capacity: number) => Layer.Layer<Broker | R, unknown>>
  /**
   * A server of its own that can be stopped and started again: what it had said is delivered is still there. Clients are
   * left alone by it. Its layer's features make topics on that server.
   */
  readonly restart: Feature<
    (name: string) => Effect.Effect<
      { readonly layer: Layer.Layer<Broker | R, unknown>; readonly restart: Effect.Effect<unknown, unknown> },
      unknown,
      Scope.Scope
    >
  >
  /**
   * The broker through a proxy that the suite cuts and stalls. Its features (`R`) go past the proxy. What it does against
   * dead connections (heartbeats, timeouts) should be set to a second or two, since the cases wait for it.
   */
  readonly network: Feature<
    (name: string) => Effect.Effect<
      { readonly layer: Layer.Layer<Broker | R, unknown>; readonly proxy: Proxy },
      unknown,
      Scope.Scope
    >
  >
  /** Takes away what messages of a topic need to arrive (the topic itself, or its bindings), and brings it back. */
  readonly destination: Feature<{
    /** Returns when nothing more arrives. */
    readonly remove: (topic: string) => Effect.Effect<unknown, unknown, Broker | R>
    readonly restore: (topic: string) => Effect.Effect<unknown, unknown, Broker | R>
    /** What had been delivered and not consumed before is still there afterwards. */
    readonly keepsMessages: boolean
  }>
  /** How another program writes and reads, with the protocol's own means and none of this toolkit's. */
  readonly foreign: Feature<{
    /** What the protocol binding of CloudEvents puts before the names of attributes. */
    readonly prefix: string
    readonly publish: (record: Foreign) => Effect.Effect<unknown, unknown, Broker | R>
    /** Begins to read a topic. The effect that it answers with waits for the next record since then. */
    readonly read: (
      topic: string
    ) => Effect.Effect<Effect.Effect<Foreign, unknown>, unknown, Broker | R | Scope.Scope>
  }>
  /** Records can come without a body, which is not the same as an empty one. */
  readonly tombstones: Feature<true>
  /**
   * A member holds no more unsettled messages than its subscription's `window`, and `beyond` more at the most: what the
   * broker had sent with one answer, where messages have a payload of 1 KiB.
   */
  readonly window: Feature<{ readonly beyond: number }>
  /** Makes of a message one of the same id, topic and key that the broker itself refuses, as by its size. */
  readonly refused: Feature<(message: Message) => Message>
  /** What was delivered is there for another layer of the same name, built after the first one is gone. */
  readonly durable: Feature<true>
  /** The largest payload to try, in bytes. */
  readonly largestPayload: number
  /** After so long without a message, none will come. Default: 100 milliseconds. */
  readonly quiet?: Duration.DurationInput | undefined
  /** What should come comes within this. Default: 10 seconds. */
  readonly patience?: Duration.DurationInput | undefined
  /** How long a case may take, in milliseconds. Default: 60,000. */
  readonly timeout?: number | undefined
}

/**
 * A record as the protocol has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Foreign {
  readonly topic: string
  readonly key: string | undefined
  /** Where the protocol tells text from bytes, strings are text. */
  readonly headers: Readonly<Record<string, string | Uint8Array>>
  /** The content type, in the place that the protocol has for it. */
  readonly contentType?: string | undefined
  /** `undefined` for a tombstone. */
  readonly body: Uint8Array | undefined
}

/**
 * Runs the suite: each case with topics and groups of its own, so that they may run side by side (`describe.concurrent`).
 *
 * @example
 * ```ts
 * import { Broker } from "@effect-cqrs/core"
 * import { BrokerSuite, Suite } from "@effect-cqrs/testing"
 * import { Effect } from "effect"
 *
 * export const memory = (runner: Suite.Runner) =>
 *   BrokerSuite.suite("memory", {
 *     ...runner,
 *     layer: () => Broker.layerMemory(),
 *     topic: Effect.succeed,
 *     ordered: true,
 *     countsRedeliveries: true,
 *     capacity: (_name, capacity) => Broker.layerMemory({ capacity }),
 *     restart: Suite.unsupported("it forgets everything with the process"),
 *     network: Suite.unsupported("it has no connections"),
 *     destination: Suite.unsupported("its topics are always there"),
 *     foreign: Suite.unsupported("no other program gets at it"),
 *     tombstones: Suite.unsupported("its messages have a payload"),
 *     window: Suite.unsupported("it holds all messages itself"),
 *     refused: Suite.unsupported("it takes every message"),
 *     durable: Suite.unsupported("it forgets everything with the process"),
 *     largestPayload: 1024 * 1024
 *   })
 * ```
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <R>(name: string, facts: Facts<R>): void => {
  const kit = kitOf(facts)
  facts.describe(`${name}: broker`, () => {
    messageCases(kit)
    groupCases(kit)
    orderCases(kit)
    acknowledgementCases(kit)
    takeManyCases(kit)
    outcomeCases(kit)
    limitCases(kit)
    forwardCases(kit)
    foreignCases(kit)
    siftCases(kit)
    deadLetterCases(kit)
    relayCases(kit)
    networkCases(kit)
    restartCases(kit)
  })
}
