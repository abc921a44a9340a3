/** A module's header: its first doc comment, where nothing but line comments stands before it. */
export const header = (source) => /^(?:\s*\/\/[^\n]*\n|\s)*(\/\*\*[\s\S]*?\*\/)/.exec(source)?.[1]

/**
 * The text of a barrel over `[file, source]` pairs, and the files that have no header with `@since`.
 */
export const barrel = (modules) => {
  const sorted = [...modules].sort(([a], [b]) => (a < b ? -1 : 1))
  const entries = sorted.map(([file, source]) => {
    const comment = header(source)
    return { file, comment: comment?.includes("@since") ? comment : undefined }
  })
  return {
    missing: entries.filter(({ comment }) => comment === undefined).map(({ file }) => file),
    text: entries
      .map(({ comment, file }) =>
        `${comment === undefined ? "" : `${comment}\n`}export * as ${file.slice(0, -".ts".length)} from "./${file}"\n`
      )
      .join("\n")
  }
}
