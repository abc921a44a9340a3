import { Broker, type Delivery, type Outcome, type Source, type Subscription } from "@effect-cqrs/core/Broker"
import type { Message } from "@effect-cqrs/core/Message"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as assert from "node:assert"
import type { Facts } from "../../BrokerSuite.ts"
import { messageOf } from "../../Fixtures.ts"
import type { Feature } from "../../Suite.ts"
import { assertIds, assertOrder, casesOf } from "../cases.ts"

type Test<R> = (topic: string, group: string) => Effect.Effect<void, unknown, Broker | R | Scope.Scope>

/** What the cases of brokers are made with. */
export interface Kit<R> extends Takes {
  readonly facts: Facts<R>
  readonly cases: ReturnType<typeof casesOf>
  /** A case with a topic and a group of its own. */
  readonly it: (name: string, test: Test<R>) => void
  readonly itWith: <A>(feature: Feature<A>, name: string, test: (feature: A) => Test<R>) => void
  readonly within: (
    id: string,
    layer: Layer.Layer<Broker | R, unknown>,
    test: Test<R>
  ) => Effect.Effect<void, unknown, Scope.Scope>
}

export const kitOf = <R>(facts: Facts<R>): Kit<R> => {
  const cases = casesOf(facts, { timeout: facts.timeout ?? 60_000 })
  const within: Kit<R>["within"] = (id, layer, test) =>
    Effect.scoped(Effect.provide(Effect.flatMap(facts.topic(id), (topic) => test(topic, `${id}_group`)), layer))
  return {
    facts,
    cases,
    within,
    it: (name, test) => cases.it(name, (id) => within(id, facts.layer(id), test)),
    itWith: (feature, name, test) =>
      cases.itWith(feature, name, (id, feature) => within(id, facts.layer(id), test(feature))),
    ...takesOf(Duration.decode(facts.quiet ?? "100 millis"), Duration.decode(facts.patience ?? "10 seconds"))
  }
}

/** A delivery whose scope is open. */
interface Held extends Delivery {
  readonly settle: Effect.Effect<void>
  readonly fail: Effect.Effect<void>
}

export interface HeldMany {
  readonly deliveries: ReadonlyArray<Delivery>
  readonly settle: Effect.Effect<void>
  readonly fail: Effect.Effect<void>
}

interface Takes {
  readonly quiet: Duration.Duration
  readonly patience: Duration.Duration
  readonly next: (source: Source) => Effect.Effect<Delivery, unknown, Scope.Scope>
  /** Takes one, and settles it. */
  readonly one: (source: Source) => Effect.Effect<Delivery, unknown>
  /** Takes and settles so many, one after the other. */
  readonly some: (source: Source, count: number) => Effect.Effect<ReadonlyArray<Message>, unknown>
  readonly hold: (source: Source) => Effect.Effect<Held, unknown>
  /** `into` has it even if this is interrupted as it ends. */
  readonly holdMany: (
    source: Source,
    limit: number,
    into?: Array<HeldMany>
  ) => Effect.Effect<HeldMany, unknown>
  readonly assertQuiet: (source: Source) => Effect.Effect<void>
  /** Takes with several fibers until so many are handled; fails if a key is handled twice at a time. */
  readonly compete: (
    sources: ReadonlyArray<Source>,
    count: number
  ) => Effect.Effect<ReadonlyArray<Message>, unknown, Scope.Scope>
  /** Waits until something is so, for as long as a broker may take to recover. */
  readonly until: (what: string | (() => string), look: () => boolean) => Effect.Effect<void>
}

const takesOf = (quiet: Duration.Duration, patience: Duration.Duration): Takes => {
  const inTime = <A, E, R>(take: Effect.Effect<A, E, R>) =>
    Effect.timeoutFail(take, {
      duration: patience,
      onTimeout: () => new Cause.TimeoutException(`no message came within ${Duration.format(patience)}`)
    })
  const next: Takes["next"] = (source) => inTime(source.take)
  const one: Takes["one"] = (source) => Effect.scoped(next(source))
  const open = <A>(take: Effect.Effect<A, unknown, Scope.Scope>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const taken = yield* restore(Scope.extend(take, scope)).pipe(
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
        return { taken, settle: Scope.close(scope, Exit.void), fail: Scope.close(scope, Exit.fail("no")) }
      })
    )
  return {
    quiet,
    patience,
    next,
    one,
    some: (source, count) =>
      Effect.map(
        Effect.forEach(Array.from({ length: count }), () => one(source)),
        (deliveries) => deliveries.map((delivery) => delivery.message)
      ),
    hold: (source) => Effect.map(open(next(source)), ({ taken, ...rest }) => ({ ...taken, ...rest })),
    holdMany: (source, limit, into = []) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.map(open(restore(inTime(source.takeMany(limit)))), ({ taken, ...rest }) => {
          const held = { deliveries: taken, ...rest }
          into.push(held)
          return held
        })
      ),
    assertQuiet: (source) =>
      Effect.flatMap(
        Effect.exit(
          Effect.scoped(Effect.flatMap(source.take, (delivery) => Effect.fail(delivery.message.id))).pipe(
            Effect.timeoutOption(quiet)
          )
        ),
        (exit) =>
          Exit.isSuccess(exit) && Option.isNone(exit.value)
            ? Effect.void
            : Effect.sync(() => assert.fail(`nothing should come: ${String(exit)}`))
      ),
    compete: (sources, count) =>
      Effect.gen(function*() {
        const handled: Array<Message> = []
        const out = new Set<string>()
        const all = yield* Deferred.make<void, unknown>()
        const fibers = yield* Effect.forEach(sources, (source) =>
          Effect.forkScoped(Effect.forever(Effect.scoped(Effect.gen(function*() {
            const { message } = yield* source.take
            const lane = `${message.topic} ${message.key}`
            if (message.key !== undefined) {
              if (out.has(lane)) {
                yield* Deferred.fail(all, new Error(`two of the key ${lane} are out`))
              }
              out.add(lane)
            }
            for (let i = 0; i < handled.length % 4; i++) {
              yield* Effect.yieldNow()
            }
            out.delete(lane)
            handled.push(message)
            if (handled.length === count) {
              yield* Deferred.succeed(all, undefined)
            }
          })))))
        yield* Effect.timeoutFail(Deferred.await(all), {
          duration: Duration.times(patience, 3),
          onTimeout: () =>
            new Error(`${handled.length} of ${count} came`)
        })
        // more than there should be would come now
        yield* Effect.sleep(quiet)
        yield* Fiber.interruptAll(fibers)
        return handled
      }),
    until: (what, look) =>
      Effect.gen(function*() {
        const rounds = Duration.toMillis(patience) * 3 / 10
        for (let round = 0; !look(); round++) {
          if (round >= rounds) assert.fail(`not in time: ${typeof what === "string" ? what : what()}`)
          yield* Effect.sleep("10 millis")
        }
      })
  }
}

export const consume = (
  topics: ReadonlyArray<string>,
  group: string,
  options?: Omit<Subscription, "topics" | "group">
) => Effect.flatMap(Broker, (broker) => broker.consume({ topics, group, ...options }))

/** Publishes what the broker must take. */
export const publish = (batch: ReadonlyArray<Message>) =>
  Effect.flatMap(Broker, (broker) =>
    Effect.map(broker.publish(batch), (outcomes) => {
      assert.strictEqual(outcomes.length, batch.length)
      for (const outcome of outcomes) assertDelivered(outcome)
    }))

export const idsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map((message) => message.id)

export const assertDelivered = (outcome: Outcome | undefined): void => {
  if (outcome?._tag !== "Delivered") assert.fail(`not delivered: ${JSON.stringify(outcome)}`)
}

/** The outcomes in short. */
export const tagsOf = (outcomes: ReadonlyArray<{ readonly _tag: string }>): ReadonlyArray<string> =>
  outcomes.map((outcome) => outcome._tag)

/** Each key's messages in the order of their publishing. */
export const assertKeysInOrder = (received: ReadonlyArray<Message>, sent: ReadonlyArray<Message>): void => {
  for (const key of new Set(sent.map((message) => message.key))) {
    const ofKey = (messages: ReadonlyArray<Message>) => idsOf(messages.filter((message) => message.key === key))
    assertOrder(`key ${key}`, ofKey(received), ofKey(sent))
  }
}

/** Each at least once, nothing else, and the first ones of each key in order. */
export const assertArrived = (received: ReadonlyArray<Message>, sent: ReadonlyArray<Message>): void => {
  const firsts = firstsOf(received)
  assertIds("messages", idsOf(firsts), idsOf(sent))
  assertKeysInOrder(firsts, sent)
}

/** Without those that had come before. */
export const firstsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> =>
  [
    ...new Map([...messages].reverse().map((message) => [message.id, message])).values()
  ].reverse()

/** Takes and settles in the background all that comes, until the scope closes; a `take` that fails is repeated. */
export const collect = (source: Source) =>
  Effect.gen(function*() {
    const received: Array<Message> = []
    const handle = Effect.scoped(Effect.map(source.take, ({ message }) => {
      received.push(message)
    }))
    yield* Effect.forkScoped(Effect.forever(Effect.catchAll(handle, () => Effect.sleep("20 millis"))))
    return received
  })

export interface Load {
  /** All that was tried, in order. */
  readonly sent: ReadonlyArray<Message>
  /** The ids of those that the broker has acknowledged. */
  readonly delivered: ReadonlySet<string>
  /** How often `publish` has answered, and with how many that were not delivered. */
  readonly answers: () => number
  readonly retriable: () => number
  /** Tries no new ones, and waits until each is delivered. */
  readonly finish: Effect.Effect<void, unknown>
}

/**
 * Publishes in the background as a relay does: batches of new messages of a few keys, and again what was not delivered,
 * each key in order.
 */
export const load = (topic: string): Effect.Effect<Load, never, Broker | Scope.Scope> =>
  Effect.gen(function*() {
    const broker = yield* Broker
    const sent: Array<Message> = []
    const delivered = new Set<string>()
    let pending: ReadonlyArray<Message> = []
    let answers = 0
    let retriable = 0
    let isFinishing = false
    const fresh = () => {
      const message = messageOf({ topic, key: `key ${sent.length % 5}`, sequence: BigInt(sent.length) })
      sent.push(message)
      return message
    }
    const step = Effect.gen(function*() {
      const batch = isFinishing || pending.length > 0 ? pending : Array.from({ length: 10 }, fresh)
      const outcomes = yield* broker.publish(batch)
      assert.strictEqual(outcomes.length, batch.length)
      answers += 1
      pending = batch.filter((message, n) => {
        const outcome = outcomes[n]!
        if (outcome._tag === "Delivered") {
          delivered.add(message.id)
          return false
        }
        assert.strictEqual(outcome._tag, "Retriable", `a fault is not the message's: ${JSON.stringify(outcome)}`)
        retriable += 1
        return true
      })
      yield* Effect.sleep(pending.length > 0 ? "30 millis" : "5 millis")
    })
    const fiber = yield* Effect.forkScoped(
      Effect.repeat(step, { until: () => isFinishing && pending.length === 0 })
    )
    return {
      sent,
      delivered,
      answers: () => answers,
      retriable: () => retriable,
      finish: Effect.suspend(() => {
        isFinishing = true
        return Fiber.join(fiber)
      })
    }
  })
