// The servers in containers: compose.yaml beside this file has the images and their versions.
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { services } from "./catalog.mjs"
import { ask, cache, run } from "./shell.mjs"

const file = fileURLToPath(new URL("compose.yaml", import.meta.url))

const compose = ["docker", "compose", "--project-name", "effect-cqrs-services", "--file", file]

const environment = (kafkaVersion) => ({
  EFFECT_CQRS_KAFKA_VERSION: kafkaVersion,
  ...Object.fromEntries(
    Object.entries(services).map(([name, { port }]) => [`EFFECT_CQRS_${name.toUpperCase()}_PORT`, `${port}`])
  )
})

/** Why containers cannot be had, or undefined where they can. */
export const whyNot = () => {
  if (ask("docker", "version", "--format", "{{.Server.Version}}") === undefined) return "no Docker engine answers"
  if (ask("docker", "compose", "version") === undefined) return "Docker has no `compose` (the plugin, version 2)"
  return undefined
}

/** @param {ReadonlyArray<string>} names */
export const up = (names, kafkaVersion) =>
  run(`Starting ${names.join(", ")} with Docker Compose`, [...compose, "up", "--detach", "--wait", ...names], {
    env: environment(kafkaVersion),
    log: path.join(cache, "docker.log")
  })

/** @param {ReadonlyArray<string>} names */
export const down = (names) =>
  run(
    `Removing the containers of ${names.join(", ")}`,
    [...compose, "rm", "--stop", "--force", "--volumes", ...names],
    {
      env: environment(""),
      log: path.join(cache, "docker.log")
    }
  )
