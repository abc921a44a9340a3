import { assert, describe, it } from "@effect/vitest"
import kafkajs from "kafkajs"
import {
  clientErrors,
  isConfiguration,
  NodesError,
  ofCode,
  ofError,
  protocolErrors
} from "../src/internal/classification.ts"

describe("classification", () => {
  const thrown = (name: string, more: object = {}) => Object.assign(new Error("why"), { name, ...more })

  for (const [code, { isConfiguration: stays, type, verdict }] of protocolErrors) {
    it(`${type} (${code}) is ${verdict}${stays ? ", and is not mended by waiting" : ""}`, () => {
      const judged = ofCode(code, "Somewhere")
      assert.deepStrictEqual([judged.verdict, judged.isConfiguration], [verdict, stays])
      assert.include(judged.reason, type)
      assert.strictEqual(isConfiguration(thrown("KafkaJSProtocolError", { code, type })), stays)
    })
  }

  it("a login that is refused, and a certificate that is not trusted, are a matter of configuration", () => {
    const login = thrown("KafkaJSSASLAuthenticationError")
    const certificate = thrown("KafkaJSConnectionError", { code: "SELF_SIGNED_CERT_IN_CHAIN" })
    const wrapped = thrown("KafkaJSNumberOfRetriesExceeded", { cause: certificate })
    assert.deepStrictEqual([login, certificate, wrapped].map(isConfiguration), [true, true, true])
    assert.include(ofError(login).reason, "correct the user and the password")
    assert.include(ofError(wrapped).reason, "`ca` in `tls`")
    assert.isFalse(isConfiguration(thrown("KafkaJSConnectionError", { code: "ECONNREFUSED" })))
  })

  it("of several nodes each has its say, and one that was reached says that waiting is in vain", () => {
    const down = { address: "one:9092", error: thrown("KafkaJSConnectionError", { code: "ECONNREFUSED" }) }
    const login = { address: "two:9092", error: thrown("KafkaJSSASLAuthenticationError") }
    for (const errors of [[down, login], [login, down]]) {
      const error = new NodesError(errors)
      assert.isTrue(isConfiguration(error))
      for (const words of ["one:9092: why", "two:9092: it refuses the login"]) {
        assert.include(ofError(error).reason, words)
      }
    }
    assert.isFalse(isConfiguration(new NodesError([down, down])))
  })

  it("a code that nobody knows is no verdict on the message", () => {
    assert.deepInclude(ofCode(9999, "Somewhere"), { verdict: "part", isConfiguration: false })
  })

  it("each error of kafkajs has its place", () => {
    const names = Object.keys(kafkajs).filter((name) => /^KafkaJS/.test(name) && name !== "KafkaJSProtocolError")
    for (const name of names) assert.isTrue(clientErrors.has(name), name)
    for (const [name, verdict] of clientErrors) {
      assert.strictEqual(ofError(Object.assign(new Error("no"), { name })).verdict, verdict)
    }
  })
})
