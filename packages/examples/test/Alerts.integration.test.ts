/** The alert rules, tried by the program that Prometheus brings for it. */
import { Endpoint } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

const fileOf = (name: string) => fileURLToPath(new URL(`../src/telemetry/${name}`, import.meta.url))

const hint = "`npm run services -- tools --install` brings what this needs."

Endpoint.suite("promtool", { describe, it, hint, variable: "EFFECT_CQRS_PROMTOOL" }, (program) => {
  const promtool = (...args: ReadonlyArray<string>) =>
    Effect.async<void, string>((resume) => {
      execFile(Redacted.value(program), args, (error, stdout, stderr) =>
        resume(error === null ? Effect.void : Effect.fail(stdout + stderr)))
    })

  it.live("can read the rules", () => promtool("check", "rules", fileOf("alerts.yml")))

  it.live("raises the alerts when it should, and no other", () => promtool("test", "rules", fileOf("alerts.test.yml")))
})
