/** What is printed: tables for people, one JSON value for scripts. */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Prints a value as its schema encodes it, or as the lines that people read. */
export const print = <A, I>(schema: Schema.Schema<A, I>, render: (value: A) => ReadonlyArray<string>) => {
  const encode = Schema.encode(schema)
  return (value: A, { json }: { readonly json: boolean }): Effect.Effect<void> =>
    json
      ? Effect.flatMap(Effect.orDie(encode(value)), (encoded) => Console.log(JSON.stringify(encoded)))
      : Effect.forEach(render(value), (line) => Console.log(line), { discard: true })
}

/** What is said beside the result: on standard error, so that a script gets the result alone. */
export const say = (text: string): Effect.Effect<void> => Console.error(text)

/** Columns under their heads. Numbers are to the right: the columns that are named so. */
export const table = (
  heads: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlyArray<string> = []
): ReadonlyArray<string> => {
  const cells = rows.map((row) => row.map(printable))
  const widths = heads.map((head, n) => Math.max(head.length, ...cells.map((row) => row[n]!.length)))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, n) => right.includes(heads[n]!) ? cell.padStart(widths[n]!) : cell.padEnd(widths[n]!))
      .join("  ").trimEnd()
  return [line(heads), ...cells.map(line)]
}

/** Names and values, one below the other. */
export const fields = (pairs: ReadonlyArray<readonly [name: string, value: string]>): ReadonlyArray<string> => {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`)
}

/** What is stored was written by others: it does not get to move the cursor. */
export const printable = (text: string): string =>
  text.replaceAll(
    // eslint-disable-next-line no-control-regex -- these are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

export const shortened = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`

/** `3 dead letters`, `1 dead letter`. */
export const count = (number: number, noun: string): string => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`

export const grouped = (number: number): string => number.toLocaleString("en-US")

/** The two largest units of an age. */
export const age = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "for ever"
  const { days, hours, minutes, seconds } = Duration.parts(duration)
  const parts = ([[days, "d"], [hours, "h"], [minutes, "min"], [seconds, "s"]] as const)
    .filter(([value], n, all) => value > 0 || (n === 3 && all.every(([other]) => other === 0)))
  return parts.slice(0, 2).map(([value, unit]) => `${value} ${unit}`).join(" ")
}

/** Whether somebody sits there who can be asked. */
export const isTerminal = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true
