import { assert, describe, it } from "@effect/vitest"
import { Either, Redacted } from "effect"
import { type Address, addressOf } from "../../src/internal/database.ts"

const read = (url: string): Address => Either.getOrThrow(addressOf(Redacted.make(url)))

describe("the URL of a database", () => {
  it("says which driver, and is shown without user and password", () => {
    assert.deepStrictEqual(read("sqlite:app.db"), { kind: "sqlite", file: "app.db", shown: "sqlite:app.db" })
    assert.strictEqual((read("sqlite:///var/app.db") as { readonly file: string }).file, "/var/app.db")
    for (
      const [url, kind, own] of [
        ["mysql://u:secret@h:3306/app", "mysql", "mysql://u:secret@h:3306/app"],
        ["mariadb://u:secret@h/app", "mysql", "mysql://u:secret@h/app"],
        ["postgres://u:secret@h/app", "postgres", "postgres://u:secret@h/app"],
        ["postgresql://u:secret@h/app", "postgres", "postgresql://u:secret@h/app"]
      ] as const
    ) {
      const address = read(url)
      assert.strictEqual(address.kind, kind)
      assert.notInclude(address.shown, "secret")
      assert.strictEqual(Redacted.value((address as { readonly url: Redacted.Redacted }).url), own)
    }
  })

  it("is refused by a sentence that does not repeat it", () => {
    for (
      const url of [
        "",
        "app.db",
        "sqlite:",
        "mysql://u:secret@h",
        "oracle://u:secret@h/app",
        "mysql://u:1/secret@h/app"
      ]
    ) {
      const refused = addressOf(Redacted.make(url))
      if (Either.isRight(refused)) return assert.fail(url)
      assert.strictEqual(refused.left.ending, "Usage")
      assert.notInclude(refused.left.message, "secret")
    }
  })
})
