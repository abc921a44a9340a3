import { defineWorkspace } from "vitest/config"

export default defineWorkspace([
  {
    test: {
      name: "unit",
      include: ["packages/*/test/**/*.test.ts"],
      exclude: ["**/*.integration.test.ts", "**/node_modules/**"]
    }
  },
  {
    test: {
      name: "integration",
      include: ["packages/*/test/**/*.integration.test.ts"],
      exclude: ["**/node_modules/**"],
      testTimeout: 60_000,
      hookTimeout: 120_000
    }
  },
  { test: { name: "scripts", include: ["scripts/test/*.test.mjs"] } }
])
