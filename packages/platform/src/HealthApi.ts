/**
 * Liveness and readiness over HTTP.
 *
 * @since 0.1.0
 */
import { Health, Report } from "@effect-cqrs/core/Health"
import type * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as Effect from "effect/Effect"
import { unsafeCoerce } from "effect/Function"
import type * as Layer from "effect/Layer"

/**
 * `GET /health/live` and `GET /health/ready`: 200, or 503 when `down`, with what the checks found. That may name hosts and
 * topics: let them be asked from inside only.
 *
 * @since 0.1.0
 * @category constructors
 */
export const group = HttpApiGroup.make("health")
  .add(
    HttpApiEndpoint.get("live", "/live").addSuccess(Report).addError(Report, { status: 503 })
  )
  .add(
    HttpApiEndpoint.get("ready", "/ready").addSuccess(Report).addError(Report, { status: 503 })
  )
  .prefix("/health")

/**
 * Answers for {@link group} in an API that has it, from the program's `Health`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Id extends string, Groups extends HttpApiGroup.HttpApiGroup.Any, E, R>(
  api: HttpApi.HttpApi<Id, Groups, E, R> & ([Extract<Groups, typeof group>] extends [never] ? MissingGroup : unknown)
): Layer.Layer<HttpApiGroup.ApiGroup<Id, "health">, never, Health> =>
  HttpApiBuilder.group(
    unsafeCoerce<unknown, HttpApi.HttpApi<Id, typeof group>>(api),
    "health",
    (handlers) =>
      Effect.map(Health, ({ live, ready }) =>
        handlers.handle("live", () => answer(live)).handle("ready", () => answer(ready)))
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type MissingGroup = "The API lacks HealthApi.group: .add it"

const answer = (look: Effect.Effect<Report>): Effect.Effect<Report, Report> =>
  Effect.flatMap(look, (report) => report.status === "down" ? Effect.fail(report) : Effect.succeed(report))
