/** The suites of brokers at tiny sizes: every contender does its work as it should, and the rows compare them. */
import { Endpoint } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bench } from "./bench.ts"

const hint = "`npm run services -- up` finds or starts one."

const rows = {
  kafka: ["relay", "consume", "inbox", "inbox-batch"],
  rabbitmq: ["relay", "strict-1", "strict-100", "strict-10000", "consume"]
}

describe("npm run bench -- brokers consumer", () => {
  for (
    const [broker, variable] of [
      ["kafka", "EFFECT_CQRS_KAFKA_BROKERS"],
      ["rabbitmq", "EFFECT_CQRS_RABBITMQ_URL"]
    ] as const
  ) {
    Endpoint.suite("MariaDB", { describe, it, variable: "EFFECT_CQRS_MARIADB_URL", hint }, () => {
      Endpoint.suite(broker, { describe, it, variable, hint }, () => {
        it.live("measures, and prints one JSON object", () =>
          Effect.gen(function*() {
            const ended = yield* bench([
              "brokers",
              "consumer",
              "--scale",
              "0.005",
              "--rounds",
              "1",
              "--only",
              broker,
              "--json"
            ])
            assert.strictEqual(ended.code, 0, ended.stderr)
            const found: ReadonlyArray<Record<string, any>> = JSON.parse(ended.stdout).suites.flatMap(
              ({ rows }: { readonly rows: ReadonlyArray<unknown> }) => rows
            )
            assert.deepStrictEqual(found.map(({ id }) => id), rows[broker].map((name) => `${name}/${broker}`))
            for (const { ratio, subject, twin } of found) {
              assert.isAbove(subject.median, 0)
              assert.approximately(ratio.median, subject.median / twin.median, 1e-9)
            }
          }), 180_000)
      })
    })
  }
})
