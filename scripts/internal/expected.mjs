const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

const placeholders = { number: "-?\\d+(?:[.,_]\\d+)*(?:e[+-]?\\d+)?", "…": ".*" }

/** The pattern of one expected line. */
export const linePattern = (line) =>
  new RegExp(
    `^${
      line
        .split(/(\{\{(?:number|…)\}\})/)
        .map((part) =>
          /^\{\{(.+)\}\}$/.exec(part)?.[1] in placeholders ? placeholders[part.slice(2, -2)] : escape(part)
        )
        .join("")
    }$`
  )

const lines = (text) => text.replace(/\r\n/g, "\n").trimEnd().split("\n")

/** Where an actual text departs from the expected one, or undefined where it does not. */
export const mismatch = (expected, actual, source) => {
  const want = lines(expected)
  const got = lines(actual)
  for (let i = 0; i < Math.max(want.length, got.length); i++) {
    if (want[i] !== undefined && got[i] !== undefined && linePattern(want[i]).test(got[i])) continue
    return [
      `printed something else than ${source}, first at line ${i + 1}:`,
      `  expected: ${want[i] ?? "(the end)"}`,
      `  printed:  ${got[i] ?? "(the end)"}`
    ].join("\n")
  }
}
