/** `effect-cqrs doctor`. */
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Tables from "@effect-cqrs/sql/Tables"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Brokers from "../internal/brokers.ts"
import * as Database from "../internal/database.ts"
import * as OfBroker from "../internal/doctor/broker.ts"
import * as OfDatabase from "../internal/doctor/database.ts"
import { CliError } from "../internal/exitCode.ts"
import { type Finding, ok, render, Report, reportOf } from "../internal/finding.ts"
import { count, print } from "../internal/output.ts"
import * as Settings from "../internal/settings.ts"

const printed = print(Report, render)

export const doctor = Command.make(
  "doctor",
  { ...Settings.database, broker: Settings.broker },
  (options) =>
    Effect.gen(function*() {
      // a URL that is none is said before anything is asked
      const address = Option.isNone(options.broker) ? undefined : yield* Brokers.required(options.broker)
      const found = yield* Effect.gen(function*() {
        const inspection = yield* Tables.inspect(options)
        const findings: Array<Finding> = [
          OfDatabase.server(inspection),
          ...yield* OfDatabase.settings(inspection.server.product),
          yield* OfDatabase.clocks,
          OfDatabase.tables(inspection)
        ]
        const { buckets, expected, missing, version } = inspection
        if (missing.tables.length > 0 || version !== expected) return { findings, topics: [] }
        findings.push(OfDatabase.indexes(inspection), yield* OfDatabase.permissions(inspection))
        if (buckets === undefined) {
          return { findings: [...findings, ok("outbox", "no program has started with it yet")], topics: [] }
        }
        const inside = Effect.zip(
          OfDatabase.work,
          Effect.flatMap(OutboxStorage, ({ backlogCounts }) => backlogCounts)
        ).pipe(Effect.provide(Database.storage(options)))
        const [work, pending] = yield* inside
        return { findings: [...findings, ...work], topics: pending.map(({ topic }) => topic) }
      }).pipe(Effect.provide(Database.client(options)))
      const ofBroker = address === undefined ? [] : yield* OfBroker.broker(address, found.topics)
      const report = reportOf([...found.findings, ...ofBroker])
      yield* printed(report, options)
      if (report.problems > 0) {
        return yield* new CliError({ ending: "Found", message: `${count(report.problems, "problem")} found` })
      }
    })
).pipe(
  Command.withDescription(Settings.help(
    "Looks at server, settings, tables, clocks, permissions and relays, and with --broker at the topics of what is " +
      "pending; says what to do about each.",
    "doctor --database mysql://app@localhost:3306/app --broker amqp://localhost:5672"
  ))
)
