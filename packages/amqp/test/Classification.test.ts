import { assert, describe, it } from "@effect/vitest"
import {
  channelCodes,
  clientErrors,
  connectionCodes,
  isEncoding,
  ofChannel,
  ofConnection,
  socketErrors
} from "../src/internal/classification.ts"

/** As amqplib writes what the server has closed something with. */
const closed = (code: number, text: string) =>
  Object.assign(new Error(`Operation failed: QueueDeclare; ${code} (NAME) with message "${text}"`), { code })

describe("classification", () => {
  for (const [code, { isConfiguration, name, verdict }] of channelCodes) {
    it(`${name} (${code}) of a channel is ${verdict}`, () => {
      const judged = ofChannel(closed(code, `${name} - "this" is why`), "The exchange meetings")
      assert.deepStrictEqual([judged.verdict, judged.isConfiguration], [verdict, isConfiguration])
      assert.isTrue(judged.reason.startsWith(`The exchange meetings: ${name} - "this" is why`), judged.reason)
    })
  }

  for (const [code, { isConfiguration, name, verdict }] of connectionCodes) {
    it(`${name} (${code}) of a connection is ${verdict}`, () => {
      const judged = ofConnection(closed(code, `${name} - why`))
      assert.deepStrictEqual([judged.verdict, judged.isConfiguration], [verdict, isConfiguration])
      assert.include(judged.reason, `${name} - why`)
    })
  }

  for (const [code, { isConfiguration, verdict }] of socketErrors) {
    it(`${code} is ${verdict}`, () => {
      const judged = ofConnection(Object.assign(new Error(`connect ${code} 127.0.0.1:5672`), { code }))
      assert.deepStrictEqual([judged.verdict, judged.isConfiguration], [verdict, isConfiguration])
    })
  }

  for (const [text, { isConfiguration, verdict }] of clientErrors) {
    it(`"${text}" is ${verdict}`, () => {
      const judged = ofConnection(new Error(`${text} and more`))
      assert.deepStrictEqual([judged.verdict, judged.isConfiguration], [verdict, isConfiguration])
    })
  }

  it("what nobody knows is no verdict on a message", () => {
    for (const error of [closed(999, "why"), new Error("why"), undefined, null, "why", 7]) {
      assert.deepStrictEqual([ofChannel(error, "x").verdict, ofChannel(error, "x").isConfiguration], ["broker", false])
    }
  })

  it("a login that the handshake refuses is a matter of configuration", () => {
    const error = new Error("Handshake terminated by server: 403 (ACCESS-REFUSED) with message \"ACCESS_REFUSED - no\"")
    assert.isTrue(ofConnection(error).isConfiguration)
  })

  it("a certificate that is not trusted is, too, and whose it is is said", () => {
    const judged = ofConnection(Object.assign(new Error("expired"), { code: "CERT_HAS_EXPIRED" }), "one:5671")
    assert.isTrue(judged.isConfiguration)
    assert.include(judged.reason, "RabbitMQ at one:5671 cannot be reached: expired: renew")
  })

  it("what amqplib throws as it encodes is the message's", () => {
    assert.deepStrictEqual([new RangeError(), new TypeError(), new Error()].map(isEncoding), [true, true, false])
  })
})
