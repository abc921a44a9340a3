/** The demo on every database with every broker, in one process and in several: nothing lost, invented or out of order. */
import { Endpoint } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { demo } from "./support.ts"

const hint = "`npm run services -- up` finds or starts one."

/** What the generator makes of it, wherever it is run. */
const handled = { commands: 400, succeeded: 56, refused: 341, rolledBack: 3, eventsCommitted: 56, eventsDelivered: 56 }

const runs = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { code, stderr, stdout } = yield* demo(...args, "--commands", "400", "--seed", "1", "--json")
    assert.strictEqual(code, 0, stderr)
    assert.deepInclude(JSON.parse(stdout), { ...handled, lost: 0, phantom: 0, outOfOrder: 0 })
  })

const databases = [
  ["sqlite", undefined],
  ["mysql", "EFFECT_CQRS_MARIADB_URL"],
  ["postgres", "EFFECT_CQRS_POSTGRES_URL"]
] as const

const brokers = [
  ["memory", undefined],
  ["rabbitmq", "EFFECT_CQRS_RABBITMQ_URL"],
  ["kafka", "EFFECT_CQRS_KAFKA_BROKERS"]
] as const

/** The tests, if the server is there that they need. */
const on = (name: string, variable: string | undefined, tests: () => void) =>
  variable === undefined ? describe(name, tests) : Endpoint.suite(name, { describe, it, variable, hint }, tests)

for (const [database, databaseVariable] of databases) {
  on(`the demo on ${database}`, databaseVariable, () => {
    for (const [broker, brokerVariable] of brokers) {
      on(`with ${broker}`, brokerVariable, () => {
        it.live("in one process", () => runs("--database", database, "--broker", broker), 90_000)
        if (broker === "memory") return
        it.live(
          "with writer, relay and consumer as processes",
          () => runs("--database", database, "--broker", broker, "--processes"),
          90_000
        )
      })
    }
  })
}
