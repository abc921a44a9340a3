import * as Effect from "effect/Effect"
import { messageOf } from "../../Fixtures.ts"
import { assertIds } from "../cases.ts"
import { assertArrived, collect, consume, idsOf, type Kit, load, publish } from "./kit.ts"

/** The server stops and starts again. */
export const restartCases = <R>({ cases, facts, one, some, until, within }: Kit<R>): void => {
  facts.describe("restart", () => {
    cases.itWith(
      facts.restart,
      "what was delivered survives a restart of the broker",
      (id, server) =>
        Effect.flatMap(server(id), ({ layer, restart }) =>
          within(id, layer, (topic, group) =>
            Effect.gen(function*() {
              yield* Effect.scoped(
                Effect.flatMap(
                  consume([topic], group),
                  (source) => Effect.zipRight(publish([messageOf({ topic })]), one(source))
                )
              )
              const sent = Array.from({ length: 10 }, (_, n) => messageOf({ topic, key: `key ${n % 3}` }))
              yield* publish(sent)
              yield* restart
              // its clients may not have noticed yet
              const source = yield* Effect.retry(consume([topic], group), { times: 50 })
              assertIds("messages", idsOf(yield* some(source, sent.length)), idsOf(sent))
            })))
    )

    cases.itWith(
      facts.restart,
      "the broker restarts while messages are published and consumed: both go on by themselves, and nothing is lost",
      (id, server) =>
        Effect.flatMap(server(id), ({ layer, restart }) =>
          within(id, layer, (topic, group) =>
            Effect.gen(function*() {
              const received = yield* collect(yield* consume([topic], group))
              const publishing = yield* load(topic)
              const distinct = () => new Set(idsOf(received)).size
              yield* until("messages arrive", () => distinct() >= 20)
              yield* restart
              const before = publishing.delivered.size
              yield* until("messages are delivered again", () => publishing.delivered.size >= before + 50)
              yield* publishing.finish
              yield* until(
                () => `each arrives: ${distinct()} of ${publishing.sent.length}`,
                () => distinct() >= publishing.sent.length
              )
              assertArrived(received, publishing.sent)
            })))
    )
  })
}
