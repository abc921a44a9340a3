import { Console, Effect } from "effect"

/** What is printed, as it would be on standard output. */
export const printing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const write = (text: unknown) => Effect.sync(() => void lines.push(String(text)))
    return Effect.map(
      Effect.either(Effect.withConsole(effect, {
        [Console.TypeId]: Console.TypeId,
        log: write,
        error: write,
        unsafe: globalThis.console
      } as unknown as Console.Console)),
      (result) => ({ result, output: lines.join("\n") })
    )
  })
