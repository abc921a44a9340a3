/** The trace is connected; the names that dashboard, alert rules and documentation use are those that are served. */
import { Mediator, Metrics } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer, Metric, MetricKeyType } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { CreateRoom, RoomId } from "../src/meeting-rooms/Domain.ts"
import { Program } from "../src/meeting-rooms/Program.ts"
import { exporter, serveMetrics, Telemetry } from "../src/telemetry/Telemetry.ts"
import { isConnected } from "./trace.ts"

const fileOf = (name: string) => fileURLToPath(new URL(`../src/telemetry/${name}`, import.meta.url))
const read = (name: string) => readFileSync(fileOf(name), "utf8")
const guide = readFileSync(fileURLToPath(new URL("../../../docs/guides/telemetry.md", import.meta.url)), "utf8")

/** The labels of each metric, as the guide has them. */
const documented = new Map(
  [...guide.matchAll(/^\| `(cqrs_\w+)` \| (\w+) \|([^|]*)\|/gm)].map(([, name, type, labels]) => [
    name!,
    { type: type!, labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!) }
  ])
)

/** The metrics of a PromQL expression, and the labels that it selects or groups by. */
const named = (expression: string) => {
  const quoteless = expression.replace(/"[^"]*"/g, "\"\"")
  const selected = [...quoteless.matchAll(/(cqrs_\w+?)(?:_bucket|_sum|_count)?(?=[[{)\s,]|$)(?:\{([^}]*)\})?/g)]
  const grouped = [...quoteless.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/))
  return {
    metrics: selected.map(([, name]) => name!),
    labels: [
      ...selected.flatMap(([, , selector]) =>
        [...(selector ?? "").matchAll(/(\w+)\s*(?:=|!)/g)].map(([, label]) => label!)
      ),
      ...grouped
    ].filter((label) => label !== "le")
  }
}

const dashboard = JSON.parse(read("dashboard.json")) as {
  readonly panels: ReadonlyArray<{
    readonly title: string
    readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
  }>
}

const isKnown = (expression: string): void => {
  const { labels, metrics } = named(expression)
  assert.isNotEmpty(metrics, expression)
  for (const metric of metrics) {
    assert.isTrue(documented.has(metric), `${metric} of ${expression}`)
    for (const label of labels) assert.include(documented.get(metric)!.labels, label, expression)
  }
}

const isMetric = (value: unknown): value is Metric.Metric<unknown, never, unknown> =>
  typeof value === "function" && Metric.MetricTypeId in value

describe("the telemetry of the meeting rooms", () => {
  it.live("is one picture, from the command to its consumers", () => isConnected("memory", "memory"), 60_000)

  it.live("has those names and labels where Prometheus reads it", () =>
    Effect.gen(function*() {
      const metrics = yield* exporter
      const { port } = yield* serveMetrics(metrics, 0)
      const spans = new SimpleSpanProcessor(new InMemorySpanExporter())
      yield* Effect.gen(function*() {
        yield* Mediator.send(new CreateRoom({ roomId: RoomId.make("blue"), capacity: 3 }))
        const scrape = Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
        const text = yield* Effect.repeat(Effect.delay(scrape, "50 millis"), {
          until: (served) => /cqrs_consumer_handled_total\{/.test(served)
        })
        const series = [...text.matchAll(/^(cqrs_\w+?)(?:_bucket|_sum|_count)?\{([^}]*)\}/gm)]
        assert.isAbove(new Set(series.map(([, name]) => name)).size, 12)
        for (const [line, name, labels] of series) {
          const own = [...labels!.matchAll(/(\w+)="/g)].map(([, label]) => label!)
            .filter((label) => label !== "le" && label !== "otel_scope_name")
          assert.isTrue(documented.has(name!), line)
          assert.sameMembers(own, documented.get(name!)!.labels, line)
        }
      }).pipe(
        Effect.provide(
          Program({ database: "sqlite", broker: "memory", run: "telemetry", file: ":memory:" }).pipe(
            Layer.provideMerge(Telemetry(metrics, spans))
          )
        )
      )
    }).pipe(Effect.scoped), 60_000)

  for (const { targets = [], title } of dashboard.panels) {
    for (const { expr, legendFormat } of targets) {
      it(`is what the dashboard shows: ${title}, ${legendFormat}`, () => {
        isKnown(expr)
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.include(named(expr).labels, label)
      })
    }
  }

  it("is what the alert rules ask for", () => {
    const rules = read("alerts.yml").split(/^\s+- alert: /m).slice(1)
    assert.strictEqual(rules.length, 7)
    for (const rule of rules) {
      const expression = /expr: (?:>-\n)?([\s\S]*?)\n\s+(?:for|labels):/.exec(rule)![1]!
      isKnown(expression)
      const { labels } = named(expression)
      for (const [, label] of rule.matchAll(/\$labels\.(\w+)/g)) assert.include(labels, label, rule)
      assert.include(guide, rule.slice(0, rule.indexOf("\n")))
    }
  })

  // the last one: it makes series without labels
  it("is all in the guide, and nothing else is", () => {
    for (const one of Object.values(Metrics)) if (isMetric(one)) one.unsafeValue([])
    const names = Metric.unsafeSnapshot().map(({ metricKey: { keyType, name } }) =>
      `${name} ${
        MetricKeyType.isCounterKey(keyType) ? "counter" : MetricKeyType.isGaugeKey(keyType) ? "gauge" : "histogram"
      }`
    )
    assert.sameMembers(
      [...documented].map(([name, { type }]) => `${name} ${type}`),
      [...new Set(names.filter((name) => name.startsWith("cqrs_")))]
    )
  })
})
