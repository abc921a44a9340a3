// The arrows between the packages run one way; this is where they are drawn.
const adapters = "^packages/(?!core/|testing/|examples/|benchmarks/|chaos/|cli/)([^/]+)/"

module.exports = {
  forbidden: [
    {
      name: "core-stands-alone",
      comment: "core knows effect and Node's built-ins: no adapter, no driver, no SQL.",
      severity: "error",
      from: { path: "^packages/core/src/" },
      to: { pathNot: ["^packages/core/src/", "node_modules/effect/"], dependencyTypesNot: ["core"] }
    },
    {
      name: "testing-knows-core",
      comment: "testing serves every adapter, so it knows none.",
      severity: "error",
      from: { path: "^packages/testing/src/" },
      to: { path: "^packages/(?!core/|testing/)" }
    },
    {
      name: "adapters-know-core",
      comment: "An adapter knows core and nothing of the other adapters; its tests may use testing.",
      severity: "error",
      from: { path: `${adapters}src/` },
      to: { path: "^packages/(?!core/)", pathNot: "^packages/$1/" }
    },
    {
      name: "adapters-test-alone",
      severity: "error",
      from: { path: `${adapters}test/` },
      to: { path: "^packages/(?!core/|testing/)", pathNot: "^packages/$1/" }
    },
    {
      name: "no-examples",
      comment: "Nothing depends on the examples, on the benchmarks or on chaos.",
      severity: "error",
      from: { path: "^packages/(?!examples/|benchmarks/|chaos/)" },
      to: { path: "^packages/(examples|benchmarks|chaos)/" }
    },
    {
      name: "no-cli",
      comment: "Nothing depends on the command line.",
      severity: "error",
      from: { path: "^packages/(?!cli/)" },
      to: { path: "^packages/cli/" }
    },
    {
      name: "internal-is-internal",
      comment: "Nobody reaches into another package's internal folder.",
      severity: "error",
      from: { path: "^packages/([^/]+)/" },
      to: { path: "^packages/[^/]+/src/internal/", pathNot: "^packages/$1/" }
    },
    {
      name: "no-circles",
      comment:
        "Modules form no circle at run time. Types of one package may refer to each other, and vanish when compiled.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } }
    },
    {
      name: "sources-declare-what-they-ship",
      comment: "Published sources import dependencies and peers, never devDependencies.",
      severity: "error",
      from: { path: "^packages/(?!examples/|benchmarks/|chaos/)[^/]+/src/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["npm-peer", "type-only"], pathNot: "^packages/" }
    },
    {
      name: "resolvable",
      comment: "A type test may prove that something cannot be imported.",
      severity: "error",
      from: { pathNot: "^packages/[^/]+/test/types/" },
      to: { couldNotResolve: true }
    }
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^packages/[^/]+/dist/" },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".mjs", ".js", ".cjs", ".json"]
    }
  }
}
