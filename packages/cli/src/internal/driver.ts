/** Packages that are only there where somebody has installed them. */
import * as Effect from "effect/Effect"
import { CliError } from "./exitCode.ts"

/** Loads a package, or says how to get it. */
export const load = <A>(name: string, module: () => Promise<A>): Effect.Effect<A, CliError> =>
  Effect.tryPromise({ try: module, catch: (cause) => cause }).pipe(
    Effect.catchAll((cause) =>
      isMissing(cause)
        ? new CliError({
          ending: "Usage",
          message: `The package ${name} is not installed: \`npm install ${name}\` beside @effect-cqrs/cli, or ` +
            `\`npx --package @effect-cqrs/cli --package ${name} effect-cqrs …\``
        })
        : Effect.die(cause)
    )
  )

const isMissing = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "code" in cause &&
  (cause.code === "ERR_MODULE_NOT_FOUND" || cause.code === "MODULE_NOT_FOUND")
