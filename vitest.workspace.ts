import { defineWorkspace } from "vitest/config"

const installed = "**/node_modules/**"
const integration = "**/*.integration.test.*"

export default defineWorkspace([
  { test: { name: "unit", include: ["packages/*/test/**/*.test.ts"], exclude: [integration, installed] } },
  { test: { name: "scripts", include: ["scripts/test/*.test.mjs"], exclude: [integration] } },
  {
    test: {
      name: "integration",
      include: ["packages/*/test/**/*.integration.test.ts", "scripts/test/*.integration.test.mjs"],
      exclude: [installed],
      testTimeout: 60_000,
      hookTimeout: 120_000
    }
  }
])
