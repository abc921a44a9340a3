import { assert, describe, it } from "@effect/vitest"
import kafkajs from "kafkajs"
import { clientErrors, ofCode, ofError, protocolErrors } from "../src/internal/classification.ts"

describe("classification", () => {
  for (const [code, { type, verdict }] of protocolErrors) {
    it(`${type} (${code}) is ${verdict}`, () => {
      const judged = ofCode(code, "Somewhere")
      assert.strictEqual(judged.verdict, verdict)
      assert.include(judged.reason, type)
    })
  }

  it("a code that nobody knows is no verdict on the message", () => {
    assert.strictEqual(ofCode(9999, "Somewhere").verdict, "part")
  })

  it("each error of kafkajs has its place", () => {
    const names = Object.keys(kafkajs).filter((name) => /^KafkaJS/.test(name) && name !== "KafkaJSProtocolError")
    for (const name of names) assert.isTrue(clientErrors.has(name), name)
    for (const [name, verdict] of clientErrors) {
      assert.strictEqual(ofError(Object.assign(new Error("no"), { name })).verdict, verdict)
    }
  })
})
