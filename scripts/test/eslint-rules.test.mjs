import { ESLint, RuleTester } from "eslint"
import tseslint from "typescript-eslint"
import { assert, describe, it } from "vitest"
import house from "../internal/eslint-rules.mjs"

RuleTester.describe = describe
RuleTester.it = it
const tester = new RuleTester({ languageOptions: { parser: tseslint.parser } })

const documented = (tags, code = "export const a = 1") =>
  `/**\n * A.\n *\n${tags.map((tag) => ` * ${tag}\n`).join("")} */\n${code}`

tester.run("documented-export", house.rules["documented-export"], {
  valid: [
    documented(["@since 0.1.0", "@category models"]),
    documented(["@since 0.1.0", "@category models"], "export interface A {}\nexport const A = 1"),
    documented(
      ["@since 0.1.0", "@category models"],
      "export function a(b: 1): 1\nexport function a(b: any) { return b }"
    ),
    documented(["@internal"]),
    "const a = 1",
    "export * as A from \"./A.ts\""
  ],
  invalid: [
    { code: "export const a = 1", errors: [{ messageId: "comment", data: { name: "a" } }] },
    { code: "// A.\nexport class A {}", errors: [{ messageId: "comment", data: { name: "A" } }] },
    { code: documented(["@category models"]), errors: [{ messageId: "tags" }] },
    { code: documented(["@since 0.1.0"]), errors: [{ messageId: "tags" }] },
    { code: documented(["@since 0.1.0", "@category models", "@category tags"]), errors: [{ messageId: "tags" }] }
  ]
})

tester.run("reasoned-disable", house.rules["reasoned-disable"], {
  valid: [
    "// eslint-disable-next-line no-var -- a reason\nlet a",
    "// @effect-diagnostics-next-line floatingEffect:off -- a reason\nlet a",
    "// speaks of eslint-disable"
  ],
  invalid: [
    { code: "// eslint-disable-next-line\nlet a", errors: [{ messageId: "reason" }] },
    { code: "/* eslint-disable no-var */\nlet a", errors: [{ messageId: "reason" }] },
    { code: "// @effect-diagnostics floatingEffect:off\nlet a", errors: [{ messageId: "reason" }] }
  ]
})

describe("what sources may not hold", () => {
  const eslint = new ESLint()
  const problems = async (code, filePath) => {
    const [{ messages }] = await eslint.lintText(`${code}\n`, { filePath })
    return messages.map(({ ruleId }) => ruleId)
  }
  const source = "packages/core/src/internal/any.ts"

  it.each([
    "export const a = async () => 1",
    "try {\n  a()\n} catch {\n  b()\n}",
    "export const a = Date.now()",
    "export const a = new Date()",
    "export const a = Math.random()",
    "setTimeout(a, 1)",
    "export const a = b as any",
    "export const a: any = 1",
    "export const a = (b: any) => b",
    "export const a = (): any => 1",
    "export class A {\n  b: any\n}"
  ])("%j", async (code) => {
    assert.deepStrictEqual(await problems(code, source), ["no-restricted-syntax"])
  })

  it.each([
    "export type A<B extends (c: any) => any> = B",
    "export const a = <B extends Effect.Effect<any, any, any>>(b: B): B => b",
    "export const a = new Date(0)"
  ])("and may hold %j", async (code) => {
    assert.deepStrictEqual(await problems(code, source), [])
  })

  it("a barrel's import, which would load a whole package", async () => {
    assert.deepStrictEqual(
      await problems("import { Effect } from \"effect\"\n\nexport const a = Effect.void", source),
      [
        "no-restricted-imports"
      ]
    )
  })

  it("a note to do something later", async () => {
    assert.deepStrictEqual(await problems(`// ${"to"}do: later`, source), ["no-warning-comments"])
  })

  it("a test that is focused, or that expects and spies", async () => {
    const test = "packages/core/test/Any.test.ts"
    assert.deepStrictEqual(await problems("it.only(\"a\", () => {})", test), ["no-restricted-syntax"])
    assert.deepStrictEqual(await problems("import { expect } from \"vitest\"\n\nexpect(1)", test), [
      "no-restricted-imports"
    ])
  })
})
