/**
 * What the arguments of a check ask for: steps by name or by the part before the colon (all when none is named), files,
 * or the changed files.
 */
export const selection = (args, steps, isFile) => {
  const matches = (arg) => steps.filter((step) => step === arg || step.startsWith(`${arg}:`))
  const rest = args.filter((arg) => arg !== "--changed")
  const named = rest.filter((arg) => matches(arg).length > 0)
  const files = rest.filter((arg) => !named.includes(arg) && isFile(arg))
  return {
    changed: args.includes("--changed"),
    files,
    steps: named.length === 0 ? steps : steps.filter((step) => named.some((arg) => matches(arg).includes(step))),
    unknown: rest.filter((arg) => !named.includes(arg) && !files.includes(arg))
  }
}

/** The type tests that belong to changed files: those among them, and those of a changed module's name. */
export const typeTestsOf = (files, exists) => [
  ...new Set(
    files
      .map((file) => file.replace(/^(packages\/[^/]+)\/src\/(\w+)\.ts$/, "$1/test/types/$2.tst.ts"))
      .filter((file) => file.endsWith(".tst.ts") && exists(file))
  )
]
