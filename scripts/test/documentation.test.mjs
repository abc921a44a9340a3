import { assert, describe, it } from "vitest"
import { barrel, header } from "../internal/barrel.mjs"
import { docCommentBlocks, markdownBlocks, regionOf, withIncludes } from "../internal/doc-blocks.mjs"
import { linePattern, mismatch } from "../internal/expected.mjs"

describe("barrels", () => {
  it("exports each module as a namespace under its header, in the order of the names", () => {
    assert.deepStrictEqual(
      barrel([
        ["Query.ts", "/**\n * A query.\n *\n * @since 0.1.0\n */\nexport const x = 1\n"],
        ["Command.ts", "// Copyright\n/**\n * A command.\n *\n * @since 0.1.0\n */\n"]
      ]),
      {
        missing: [],
        text: "/**\n * A command.\n *\n * @since 0.1.0\n */\nexport * as Command from \"./Command.ts\"\n\n" +
          "/**\n * A query.\n *\n * @since 0.1.0\n */\nexport * as Query from \"./Query.ts\"\n"
      }
    )
  })

  it("takes no other comment for a header, and names the module that has none", () => {
    assert.strictEqual(header("import * as A from \"a\"\n/** @since 0.1.0 */"), undefined)
    assert.deepStrictEqual(barrel([["A.ts", "/** no version */"]]), {
      missing: ["A.ts"],
      text: "export * as A from \"./A.ts\"\n"
    })
  })
})

describe("examples", () => {
  it("lets a number change where {{number}} stands, and the rest of a line where {{…}} stands", () => {
    assert.match("handled 12,345 in 1.5 ms", linePattern("handled {{number}} in {{number}} ms"))
    assert.notMatch("handled none in 1.5 ms", linePattern("handled {{number}} in {{number}} ms"))
    assert.match("at 2026-01-01 (a*b)", linePattern("at {{…}} (a*b)"))
    assert.notMatch("a+b", linePattern("a.b"))
  })

  it("shows the first line that departs", () => {
    assert.strictEqual(mismatch("a\n{{number}}\n", "a\r\n2\n", "e.txt"), undefined)
    assert.strictEqual(
      mismatch("a\nb\n", "a\nc\n", "e.txt"),
      "printed something else than e.txt, first at line 2:\n  expected: b\n  printed:  c"
    )
    assert.match(mismatch("a\n", "a\nb\n", "e.txt"), /expected: \(the end\)/)
    assert.match(mismatch("a\nb\n", "a\n", "e.txt"), /printed: {2}\(the end\)/)
  })
})

describe("documentation examples", () => {
  it("takes the ts blocks after @example from doc comments, with their lines", () => {
    const source = [
      "/**",
      " * Prose with a block that is no example:",
      " * ```ts",
      " * no()",
      " * ```",
      " *",
      " * @example",
      " * ```ts",
      " * if (a) {",
      " *   b()",
      " * }",
      " * ```",
      " *",
      " * @since 0.1.0",
      " */",
      "export const c = 1"
    ].join("\n")
    assert.deepStrictEqual(docCommentBlocks(source).map(({ code, line }) => ({ code, line })), [
      { code: "if (a) {\n  b()\n}\n", line: 8 }
    ])
  })

  const markdown = "# Title\n\n<!-- include a.ts#r -->\n```ts\nold\n```\n\n```ts no-run\nx\n```\n"

  it("ties a Markdown block to the file that its marker names", () => {
    assert.deepStrictEqual(
      markdownBlocks(markdown).map(({ code, flags, include, line }) => ({ code, flags, include, line })),
      [
        { code: "old\n", flags: [], include: { file: "a.ts", region: "r" }, line: 4 },
        { code: "x\n", flags: ["no-run"], include: undefined, line: 8 }
      ]
    )
  })

  it("copies the file's region over the block", () => {
    assert.strictEqual(withIncludes(markdown, () => "new\nlines\n"), markdown.replace("old", "new\nlines"))
    assert.strictEqual(withIncludes(markdown, () => undefined), markdown)
  })

  it("cuts a region out, without its indentation and without the marks inside it", () => {
    const source = "a\n  // #region r\n  b\n  // #region inner\n    c\n  // #endregion inner\n  // #endregion r\nd\n"
    assert.strictEqual(regionOf(source, "r"), "b\n  c\n")
    assert.strictEqual(regionOf(source, "inner"), "c\n")
    assert.strictEqual(regionOf(source, "none"), undefined)
    assert.strictEqual(regionOf(source, undefined), "a\n  b\n    c\nd\n")
  })
})
