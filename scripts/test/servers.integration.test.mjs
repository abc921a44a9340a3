// RabbitMQ and Kafka by the probes of `npm run services`: their clients come with the packages of their adapters.
import { assert, describe, it } from "vitest"
import { locate, services } from "../services/catalog.mjs"

describe.each(["rabbitmq", "kafka"])("%s", async (name) => {
  const { found, reason, version } = await locate(name)
  const isCi = !["", "0", "false"].includes(process.env.CI ?? "")
  const title = found ? `is ${services[name].minimum} or later: ${version}` : reason
  it.skipIf(!found && !isCi)(title, () => assert.isTrue(found, reason))
})
