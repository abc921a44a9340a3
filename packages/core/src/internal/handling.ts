import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as GlobalValue from "effect/GlobalValue"
import { IdGenerator } from "../IdGenerator.ts"
import { enter, type Local } from "./locally.ts"

type AnyFiber = Fiber.RuntimeFiber<any, any>

/** An event on its way to its handlers. */
export interface Emission {
  readonly name: string
  /** How many events led to this one. */
  readonly depth: number
  readonly maxDepth: number
  /** Who emitted it, and in which attempt; nobody, if it was emitted outside of any handler. */
  readonly handling: Handling | undefined
  readonly attempt: { readonly failed: boolean }
  /** Answers with what its handlers emitted in turn. Failures are isolated and reported in here. */
  readonly deliver: Effect.Effect<ReadonlyArray<Emission>>
  /** Reports that the chain of events became too long. */
  readonly tooDeep: Effect.Effect<void>
}

/** Where what happens now comes from. Ids are made when somebody asks for them. */
export interface Origin {
  readonly correlationId: (fiber: AnyFiber) => string
  readonly causationId: (fiber: AnyFiber) => string | undefined
}

export const currentOrigin: FiberRef.FiberRef<Origin | undefined> = GlobalValue.globalValue(
  "@effect-cqrs/core/currentOrigin",
  () => FiberRef.unsafeMake<Origin | undefined>(undefined)
)

export const fixedOrigin = (correlationId: string, causationId: string | undefined): Origin =>
  new FixedOrigin(correlationId, causationId)

class FixedOrigin implements Origin {
  constructor(private readonly correlation: string, private readonly causation: string | undefined) {}
  correlationId(): string {
    return this.correlation
  }
  causationId(): string | undefined {
    return this.causation
  }
}

export const clockOf = (fiber: AnyFiber): Clock.Clock => Context.get(fiber.currentDefaultServices, Clock.Clock)

export const nowOf = (fiber: AnyFiber): number => clockOf(fiber).unsafeCurrentTimeMillis()

export const newId = (fiber: AnyFiber): string =>
  Context.get(fiber.currentContext as Context.Context<any>, IdGenerator)(nowOf(fiber))

/** One run of a handler, with the events it emitted so far. */
export class Handling implements Origin {
  state: "running" | "succeeded" | "failed" = "running"
  /** A retrying middleware runs a handler several times: what a failed attempt emitted is not dispatched. */
  attempt = { failed: false }
  pending: Array<Emission> = []
  private id: string | Origin | undefined

  /** `id`: what its effects are caused by, if it is not this handling itself: the message, the event that it handles. */
  constructor(
    readonly name: string,
    readonly parent: Origin | undefined,
    readonly depth: number,
    id?: string | Origin
  ) {
    this.id = id
  }

  causationId(fiber: AnyFiber): string {
    if (typeof this.id === "object") return this.id.causationId(fiber)!
    const id = this.id ?? newId(fiber)
    this.id = id
    return id
  }

  correlationId(fiber: AnyFiber): string {
    return this.parent?.correlationId(fiber) ?? this.causationId(fiber)
  }
}

export const currentHandling = (fiber: AnyFiber): Handling | undefined => {
  const origin = fiber.getFiberRef(currentOrigin)
  return origin instanceof Handling ? origin : undefined
}

/** Runs a handler, in a context of its own where one is given; what it emitted is handed to `dispatch` once it succeeded. */
export const handle = <A, E, R, R2>(
  handling: Handling,
  effect: Effect.Effect<A, E, R>,
  dispatch: (emissions: ReadonlyArray<Emission>) => Effect.Effect<void, never, R2>,
  context?: Context.Context<never>
): Effect.Effect<A, E, R | R2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) => {
      const leave = enter(fiber, localsOf(handling, context))
      return Effect.matchCauseEffect(restore(effect), {
        onFailure: (cause) => {
          leave()
          handling.state = "failed"
          // its own are dropped; others' stand, which waited behind its own after the commit of its transaction
          const emissions = handling.pending.filter((emission) => emission.handling !== handling)
          return emissions.length === 0
            ? Effect.failCause(cause)
            : Effect.zipRight(dispatch(emissions), Effect.failCause(cause))
        },
        onSuccess: (value) => {
          leave()
          handling.state = "succeeded"
          const emissions = handling.pending
          if (emissions.length === 0) return Effect.succeed(value)
          handling.pending = []
          return Effect.as(dispatch(emissions), value)
        }
      })
    })
  )

/** What a handler's fiber has while it runs. */
export const localsOf = (handling: Handling, context: Context.Context<never> | undefined): ReadonlyArray<Local> =>
  context === undefined
    ? [[currentOrigin, handling]]
    : [[currentOrigin, handling], [FiberRef.currentContext, context]]

/** One attempt of a handler, inside its middleware. */
export const attempting = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime<A, E, R>((fiber) => {
    const handling = currentHandling(fiber)
    if (handling === undefined) return effect
    const attempt = { failed: false }
    handling.attempt = attempt
    return Effect.tapErrorCause(effect, () => Effect.sync(() => attempt.failed = true))
  })
