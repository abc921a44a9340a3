/**
 * Liveness and readiness: whether a restart is needed, and whether work may be sent here.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Broker } from "./Broker.ts"
import { OutboxStorage, type Statistics } from "./OutboxStorage.ts"
import { type Outage, Relay } from "./Relay.ts"

/**
 * - `up`: it works.
 * - `degraded`: something is out that this program does not need for its answers.
 * - `down`: no work is to be sent here.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Status = Schema.Literal("up", "degraded", "down")

/**
 * @since 0.1.0
 * @category models
 */
export type Status = typeof Status.Type

/**
 * What a check has found. Reasons and details are for operators: they may name hosts and topics, and hold no payloads.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Finding = Schema.Struct({
  status: Status,
  reason: Schema.optional(Schema.String),
  details: Schema.optional(
    Schema.Record({ key: Schema.String, value: Schema.Unknown }).annotations({
      jsonSchema: { type: "object", additionalProperties: true }
    })
  )
}).annotations({ identifier: "Health.Finding" })

/**
 * @since 0.1.0
 * @category models
 */
export type Finding = typeof Finding.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const Report = Schema.Struct({
  /** The worst of all checks. */
  status: Status,
  reason: Schema.optional(Schema.String),
  checks: Schema.Record({ key: Schema.String, value: Finding })
}).annotations({ identifier: "Health.Report" })

/**
 * @since 0.1.0
 * @category models
 */
export type Report = typeof Report.Type

/**
 * @since 0.1.0
 * @category models
 */
export interface Check {
  readonly name: string
  /** For readiness. One that takes too long is `down`, and is not begun again before it has ended. */
  readonly look: Effect.Effect<Finding>
  /** For liveness: why nothing but a restart helps; `undefined` if there is no reason. It asks nobody. */
  readonly dead?: Effect.Effect<string | undefined> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long a check may take. Default 2 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BrokerOptions {
  /**
   * How long the broker may be out until that is `down` and no longer `degraded`. Commands are committed meanwhile, and
   * their events wait in the outbox: with `Duration.infinity` this program stays ready, whatever the broker does. Default
   * 0: it is `down` at once.
   */
  readonly brokerOutage?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Health extends Context.Tag("@effect-cqrs/core/Health")<Health, {
  /** Whether the process is worth keeping: `down` means that only a restart helps. What is waited out is no reason. */
  readonly live: Effect.Effect<Report>
  /** Whether work may be sent here. */
  readonly ready: Effect.Effect<Report>
  /** From now on it is not ready: the first step of a shutdown. There is no way back. */
  readonly drain: Effect.Effect<void>
  readonly isDraining: Effect.Effect<boolean>
}>() {}

/**
 * The health of what some checks look at.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  checks: ReadonlyArray<Check>,
  options?: Options | undefined
): Effect.Effect<Context.Tag.Service<Health>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    const timeout = Duration.decode(options?.timeout ?? Duration.seconds(2))
    const bounded = checks.map((check) => [check.name, once(check.look, timeout, scope)] as const)
    let draining = false
    return Health.of({
      live: Effect.map(
        Effect.forEach(checks, ({ dead, name }) =>
          Effect.map(dead ?? Effect.succeed(undefined), (reason): readonly [string, Finding] => [
            name,
            reason === undefined ? up : { status: "down", reason }
          ])),
        reportOf
      ),
      ready: Effect.suspend(() =>
        draining
          ? Effect.succeed<Report>({ status: "down", reason: "The program is shutting down", checks: {} })
          : Effect.map(
            Effect.forEach(bounded, ([name, look]) =>
              Effect.map(look, (finding) =>
                [name, finding] as const), {
              concurrency: "unbounded"
            }),
            reportOf
          )
      ),
      drain: Effect.sync(() => {
        draining = true
      }),
      isDraining: Effect.sync(() => draining)
    })
  })

/**
 * The database of the outbox answers. What waits there is in the details, counted every 10 seconds at most, and left as it was
 * if that takes longer than a second: `pending`, `dead`, `oldestAgeMillis`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const storage: Effect.Effect<Check, never, OutboxStorage> = Effect.gen(function*() {
  const outbox = yield* OutboxStorage
  let known: { readonly at: number; readonly statistics: Statistics } | undefined
  // to count a long backlog may take longer than a check, and says nothing about whether the database answers
  const count = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    known !== undefined && now - known.at < 10_000
      ? Effect.void
      : outbox.statistics.pipe(
        Effect.timeout(countingFor),
        Effect.match({
          onFailure: () => {},
          onSuccess: (statistics) => {
            known = { at: now, statistics }
          }
        })
      ))
  const details = () => {
    if (known === undefined) return {}
    const { dead, oldestAge, pending } = known.statistics
    return { details: { pending, dead, oldestAgeMillis: Math.round(Duration.toMillis(oldestAge)) } }
  }
  return {
    name: "database",
    look: Effect.matchEffect(outbox.tail, {
      onFailure: ({ message }) => Effect.succeed<Finding>({ status: "down", reason: message }),
      onSuccess: () => Effect.map(count, (): Finding => ({ status: "up", ...details() }))
    })
  }
})

/**
 * The broker can be reached, as far as its adapter tells. Of one that does not tell nothing is known here but what the
 * relay says.
 *
 * @since 0.1.0
 * @category constructors
 */
export const broker = (options?: BrokerOptions | undefined): Effect.Effect<Check, never, Broker> =>
  Effect.map(Broker, ({ check }) => {
    if (check === undefined) return { name: "broker", look: Effect.succeed(up) }
    let since: DateTime.Utc | undefined
    return {
      name: "broker",
      look: Effect.matchEffect(check, {
        onFailure: ({ message }) =>
          Effect.flatMap(DateTime.now, (now) => {
            since ??= now
            return brokerOut({ since, reason: message }, options, {})
          }),
        onSuccess: () =>
          Effect.sync(() => {
            since = undefined
            return up
          })
      })
    }
  })

/**
 * The relay runs and does its work: it reaches its storage, trusts its lease, and finds the broker. Suspended
 * destinations are `degraded`. One whose fiber has died is a reason to restart.
 *
 * @since 0.1.0
 * @category constructors
 */
export const relay = (options?: BrokerOptions | undefined): Effect.Effect<Check, never, Relay> =>
  Effect.map(Relay, ({ status }) => ({
    name: "relay",
    look: Effect.flatMap(status, (now) => {
      const { broker, buckets, destinations, isLeased, lastSettledAt, lastStepAt, state, storage } = now
      const details = {
        state,
        buckets,
        isLeased,
        ...(lastStepAt === undefined ? {} : { lastStepAt: DateTime.formatIso(lastStepAt) }),
        ...(lastSettledAt === undefined ? {} : { lastSettledAt: DateTime.formatIso(lastSettledAt) }),
        ...(destinations.length === 0
          ? {}
          : {
            suspended: destinations.map(({ reason, since, topic }) => ({
              topic,
              since: DateTime.formatIso(since),
              reason
            }))
          })
      }
      const down = (reason: string) => Effect.succeed<Finding>({ status: "down", reason, details })
      if (state !== "running" && state !== "manual") return down(`The relay is ${state}`)
      if (storage !== undefined) return down(`The relay's storage is out: ${storage.reason}`)
      if (!isLeased) return down("The relay's lease has run out")
      if (broker !== undefined) return brokerOut(broker, options, details)
      return Effect.succeed<Finding>(
        destinations.length === 0
          ? { status: "up", details }
          : { status: "degraded", reason: "Some destinations take nothing", details }
      )
    }),
    dead: Effect.map(
      status,
      ({ state }) => state === "dead" ? "The relay's fiber has ended though nobody stopped it" : undefined
    )
  }))

/**
 * The health of a program that handles commands, relays and publishes: {@link storage}, {@link broker} and {@link relay},
 * and checks of its own.
 *
 * @example
 * ```ts
 * import { Bootstrap, Health } from "@effect-cqrs/core"
 * import { Effect, Layer } from "effect"
 *
 * const Main = Layer.provideMerge(Health.layer(), Bootstrap.layer())
 *
 * const program = Effect.flatMap(Health.Health, ({ ready }) => ready)
 *
 * console.log((await Effect.runPromise(Effect.provide(program, Main))).status) // up
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options & BrokerOptions & { readonly checks?: ReadonlyArray<Check> | undefined } | undefined
): Layer.Layer<Health, never, OutboxStorage | Broker | Relay> =>
  Layer.scoped(
    Health,
    Effect.flatMap(
      Effect.all([storage, broker(options), relay(options)]),
      (checks) => make([...checks, ...options?.checks ?? []], options)
    )
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const up: Finding = { status: "up" }

const countingFor = Duration.seconds(1)

const order: ReadonlyArray<Status> = ["up", "degraded", "down"]

const reportOf = (findings: ReadonlyArray<readonly [string, Finding]>): Report => ({
  status: order[Math.max(0, ...findings.map(([, { status }]) => order.indexOf(status)))]!,
  checks: Object.fromEntries(findings)
})

const brokerOut = (
  { reason, since }: Outage,
  options: BrokerOptions | undefined,
  details: Readonly<Record<string, unknown>>
): Effect.Effect<Finding> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const tolerated = Duration.toMillis(Duration.decode(options?.brokerOutage ?? Duration.zero))
    return {
      status: now - since.epochMillis < tolerated ? "degraded" : "down",
      reason: `The broker is out: ${reason}`,
      details: { ...details, since: DateTime.formatIso(since) }
    }
  })

/** One look at a time: what hangs is not asked again and again. */
const once = (look: Effect.Effect<Finding>, timeout: Duration.Duration, scope: Scope.Scope): Effect.Effect<Finding> => {
  let running: Fiber.Fiber<Finding> | undefined
  const safe = look.pipe(
    Effect.catchAllCause((cause) =>
      Effect.as(
        Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logWarning("A health check died", cause),
        { status: "down", reason: "The check died" } as const
      )
    ),
    Effect.ensuring(Effect.sync(() => running = undefined)),
    Effect.withTracerEnabled(false)
  )
  return Effect.gen(function*() {
    running ??= yield* Effect.forkIn(safe, scope)
    return yield* Effect.timeoutTo(Fiber.join(running), {
      duration: timeout,
      onTimeout: (): Finding => ({
        status: "down",
        reason: `It has not answered for ${Duration.format(timeout)}`
      }),
      onSuccess: (finding) => finding
    })
  })
}
