/** What the meeting rooms say about themselves: spans, metrics and logs, through OpenTelemetry. */
import { Logging, Metrics, Middleware, Tracing } from "@effect-cqrs/core"
import { NodeSdk } from "@effect/opentelemetry"
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { BatchSpanProcessor, type SpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Config, Effect, Layer, Option } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

// #region telemetry
/** A span, a measurement and a log entry for each handler; ids for all that is logged. */
const Handlers = Layer.mergeAll(
  Middleware.layerGlobal(Tracing.span(), Metrics.calls, Logging.calls()),
  Logging.layerIds
)

/** Where spans and metrics go: an OTLP collector, if the environment names one, and whoever asks `exporter`. */
export const Telemetry = (exporter: PrometheusExporter, ...processors: ReadonlyArray<SpanProcessor>) =>
  NodeSdk.layer(Effect.map(Config.option(Config.string("OTEL_EXPORTER_OTLP_ENDPOINT")), (collector) => ({
    resource: { serviceName: "meeting-rooms" },
    spanProcessor: [
      ...processors,
      // it reads the address by itself
      ...(Option.isSome(collector) ? [new BatchSpanProcessor(new OTLPTraceExporter())] : [])
    ],
    metricReader: exporter
  }))).pipe(Layer.merge(Handlers))
// #endregion telemetry

// #region prometheus
/** Serves `GET /metrics` to Prometheus, for as long as the scope is open; answers with the port. */
export const serveMetrics = (exporter: PrometheusExporter, port: number) =>
  Effect.acquireRelease(
    Effect.async<{ readonly port: number; readonly close: Effect.Effect<void> }, Error>((resume) => {
      const server = createServer((request, response) =>
        request.url === "/metrics"
          ? exporter.getMetricsRequestHandler(request, response)
          : response.writeHead(404).end()
      )
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(port, () =>
        resume(Effect.succeed({
          port: (server.address() as AddressInfo).port,
          close: Effect.async<void>((closed) => void server.close(() => closed(Effect.void)))
        })))
    }),
    ({ close }) => close
  )

export const exporter = Effect.sync(() => new PrometheusExporter({ preventServerStart: true }))
// #endregion prometheus
