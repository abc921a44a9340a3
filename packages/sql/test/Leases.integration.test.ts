import { describe } from "@effect/vitest"
import { leaseTests } from "./leases.ts"
import { onEachServer } from "./servers.ts"

onEachServer((server, url) => {
  describe("leases", () => {
    leaseTests(() => server.layerNew(url), { concurrent: true })
  })
})
