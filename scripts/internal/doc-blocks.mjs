const fence = /^(\s*)```(\S*)[ \t]*(.*)$/

/** The fenced blocks of lines: language, flags, code, and where they stand. */
const fencedBlocks = (lines) => {
  const blocks = []
  for (let i = 0; i < lines.length; i++) {
    const open = fence.exec(lines[i])
    if (open === null) continue
    const end = lines.findIndex((line, j) => j > i && /^\s*```\s*$/.test(line))
    if (end === -1) break
    const indent = open[1].length
    blocks.push({
      language: open[2],
      flags: open[3].split(/\s+/).filter(Boolean),
      code: `${lines.slice(i + 1, end).map((line) => line.slice(Math.min(indent, line.search(/\S|$/)))).join("\n")}\n`,
      start: i,
      end
    })
    i = end
  }
  return blocks
}

/** The `@example` blocks of a TypeScript source's doc comments. */
export const docCommentBlocks = (source) => {
  const blocks = []
  for (const comment of source.matchAll(/^[ \t]*\/\*\*[\s\S]*?\*\//gm)) {
    const first = source.slice(0, comment.index).split("\n").length
    const lines = comment[0].split("\n").map((line) => line.replace(/^\s*\/?\*+\/? ?/, ""))
    let inExample = false
    const marked = lines.map((line) => {
      if (/^@\w+/.test(line)) inExample = line.startsWith("@example")
      return inExample
    })
    for (const block of fencedBlocks(lines)) {
      if (marked[block.start] && block.language === "ts") blocks.push({ ...block, line: first + block.start })
    }
  }
  return blocks
}

const marker = /^\s*<!--\s*include\s+([^\s#]+)(?:#(\S+))?\s*-->\s*$/

/** The blocks of a Markdown text; `include` is set for one that a marker ties to a file or a region of it. */
export const markdownBlocks = (text) => {
  const lines = text.split("\n")
  return fencedBlocks(lines).map((block) => {
    let above = block.start - 1
    while (above >= 0 && lines[above].trim() === "") above--
    const match = above >= 0 ? marker.exec(lines[above]) : null
    return {
      ...block,
      line: block.start + 1,
      include: match === null ? undefined : { file: match[1], region: match[2] }
    }
  })
}

const regionMark = /^\s*\/\/ #(end)?region(?: (\S+))?\s*$/

/** A file's text, or the lines between `// #region <name>` and `// #endregion <name>`; undefined where there is none. */
export const regionOf = (source, region) => {
  const lines = source.replace(/\s+$/, "").split("\n")
  const marks = lines.map((line) => regionMark.exec(line))
  const start = region === undefined ? -1 : marks.findIndex((mark) => mark && !mark[1] && mark[2] === region)
  const end = region === undefined
    ? lines.length
    : marks.findIndex((mark, i) => i > start && mark?.[1] && (mark[2] ?? region) === region)
  if (region !== undefined && (start === -1 || end === -1)) return undefined
  const inside = lines.slice(start + 1, end).filter((line) => !regionMark.test(line))
  const indent = Math.min(...inside.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)))
  return `${inside.map((line) => line.slice(indent)).join("\n").replace(/^\n+|\s+$/g, "")}\n`
}

/** A Markdown text with each included block as `read` has it, which returns undefined for what is not there. */
export const withIncludes = (text, read) => {
  const lines = text.split("\n")
  for (const { end, include, start } of markdownBlocks(text).reverse()) {
    const code = include && read(include)
    if (code !== undefined) lines.splice(start + 1, end - start - 1, ...code.replace(/\n$/, "").split("\n"))
  }
  return lines.join("\n")
}
