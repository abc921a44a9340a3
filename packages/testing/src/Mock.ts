/**
 * Handlers for tests of whoever sends requests: each answers as its test says, in place of the real handler and of all that
 * wraps it.
 *
 * A mock needs no layer of its request's middleware, and runs none of it. What it was sent is in the {@link Recorder}, if
 * there is one. A request that is sent in a test and is neither mocked nor handled is a compile error as ever.
 *
 * @since 0.1.0
 */
import * as Handler from "@effect-cqrs/core/Handler"
import type * as Request from "@effect-cqrs/core/Request"
import type { Misfits, RequestGroup } from "@effect-cqrs/core/RequestGroup"
import type { Transaction } from "@effect-cqrs/core/Transaction"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { bare } from "./internal/bare.ts"
import { Entry, Recorder } from "./Recorder.ts"

/**
 * Leaves a mock that fits as it is, and replaces the type of one that does not by the reason.
 *
 * @since 0.1.0
 * @category models
 */
export type Check<Req extends Request.Any, E, R> =
  & Handler.Check<Req, E, Exclude<R, Transaction>>
  & (Transaction extends R ? `The mock of ${Request.Id<
      Req
    >} asks for Transaction: it stands in place of the transaction as well. Take Handler.layer`
    : unknown)

/**
 * Answers a request by a function of it.
 *
 * @example
 * ```ts
 * import { Command, Mediator } from "@effect-cqrs/core"
 * import { Mock } from "@effect-cqrs/testing"
 * import { Effect, Schema } from "effect"
 * import * as assert from "node:assert"
 *
 * class Reserve extends Command.make<Reserve>()("Reserve", {
 *   payload: { seats: Schema.Number },
 *   success: Schema.String
 * }) {}
 *
 * const Reserved = Mock.handler(Reserve, ({ seats }) => Effect.succeed(`${seats} seats`))
 *
 * const answer = Effect.runSync(Effect.provide(Mediator.send(new Reserve({ seats: 2 })), Reserved))
 * assert.strictEqual(answer, "2 seats")
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const handler: <Req extends Request.Any, E = never, R = never>(
  request: Request.ClassOf<Req>,
  // inline: see Handler.layer
  answer:
    & ((request: Req) => Effect.Effect<Request.Success<Req>, E | Request.Failure<Req>, R>)
    & Check<Req, E, R>
) => Layer.Layer<Handler.Handler<Req>, never, R> = (request, answer) =>
  unsafeCoerce(mock(unsafeCoerce(request), unsafeCoerce(answer)))

/**
 * Answers a request in one and the same way. A declared failure is one, too: `Mock.answer(JoinRoom, new RoomFull({ … }))`.
 *
 * @since 0.1.0
 * @category layers
 */
export const answer = <Req extends Request.Any, E = never, R = never>(
  request: Request.ClassOf<Req>,
  effect: Effect.Effect<Request.Success<Req>, E | Request.Failure<Req>, R> & Check<Req, E, R>
): Layer.Layer<Handler.Handler<Req>, never, R> => unsafeCoerce(mock(unsafeCoerce(request), () => effect))

/**
 * Several requests at once: an object with a mock for each tag that is expected. A request of the group that has none is not
 * expected: sending it dies with its name. A mock that does not fit its request, or whose parameter is `any`, does not
 * compile; the latter is what TypeScript makes of the parameter of an `Effect.fnUntraced` here, so write arrows.
 *
 * @example
 * ```ts
 * import { Command, Mediator, RequestGroup } from "@effect-cqrs/core"
 * import { Mock } from "@effect-cqrs/testing"
 * import { Effect } from "effect"
 *
 * class Open extends Command.make<Open>()("Open") {}
 * class Close extends Command.make<Close>()("Close") {}
 *
 * const Door = Mock.handlers(RequestGroup.make(Open, Close), { Open: () => Effect.void })
 *
 * Effect.runSync(Effect.provide(Mediator.send(new Open()), Door))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const handlers = <
  Reqs extends Request.Any,
  H extends
    & { readonly [R in Reqs as R["_tag"]]?: (request: R) => Effect.Effect<Request.Success<R>, any, any> }
    & Misfits<Reqs, H>
>(
  group: RequestGroup<Reqs>,
  mocks: H
): Layer.Layer<{ [R in Reqs as R["_tag"]]: Handler.Handler<R> }[Reqs["_tag"]], never, Services<H>> =>
  merged(group.requests, (request) => (mocks as Mocks)[request._tag] ?? refusing(request))

/**
 * Says that requests are not expected to be sent, where the compiler asks for their handlers: sending one dies with its name.
 *
 * @since 0.1.0
 * @category layers
 */
export const unexpected = <const C extends readonly [Request.AnyClass, ...ReadonlyArray<Request.AnyClass>]>(
  ...requests: C
): Layer.Layer<{ [I in keyof C]: Handler.Handler<InstanceType<C[I]>> }[number]> => merged(requests, refusing)

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Answer = (request: object) => Effect.Effect<unknown, unknown, unknown>

type Mocks = Readonly<Record<string, Answer | undefined>>

type Services<H> = {
  [K in keyof H]: H[K] extends (...args: any) => Effect.Effect<any, any, infer R> ? R : never
}[keyof H]

const merged = <A>(
  requests: ReadonlyArray<Request.AnyClass>,
  answerOf: (request: Request.AnyClass) => Answer
): Layer.Layer<A> => {
  const [first, ...others] = requests.map((request) => mock(request, answerOf(request)))
  return unsafeCoerce(first === undefined ? Layer.empty : Layer.mergeAll(first, ...others))
}

const mock = (request: Request.AnyClass, answer: Answer): Layer.Layer<never> =>
  unsafeCoerce(Handler.layer(bare(request), recorded(answer) as never))

const recorded = (answer: Answer): Answer => (request) =>
  Effect.zipRight(
    Effect.flatMap(
      Effect.serviceOption(Recorder),
      Option.match({ onNone: () => Effect.void, onSome: ({ record }) => record(Entry.Sent({ request })) })
    ),
    Effect.suspend(() => answer(request))
  )

const refusing = ({ id }: Request.AnyClass): Answer => () =>
  Effect.dieMessage(
    `${id} was sent, and the test does not expect it: say what it answers with Mock.handler(${id.split("/").at(-1)}, …)`
  )
