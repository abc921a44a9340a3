import { Tls } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"

const failed = (code: string, message: string) => Object.assign(new Error(message), { code })
const openssl = (reason: string) =>
  `805CCE662C7F0000:error:0A00045C:SSL routines:ssl3_read_bytes:${reason}:../deps/rec_layer_s3.c:1601:SSL alert 116\n`

describe("what is wrong with TLS", () => {
  const cases: ReadonlyArray<readonly [code: string, message: string, expected: string]> = [
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate", "self-signed certificate: give the authority"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unable to get local issuer certificate", "`ca` in `tls`"],
    ["CERT_HAS_EXPIRED", "certificate has expired", "renew"],
    ["CERT_NOT_YET_VALID", "certificate is not yet valid", "clocks"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "Hostname/IP does not match certificate's altnames", "`servername` in `tls`"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", openssl("wrong version number"), "wrong version number: use a port"],
    ["EPROTO", `write EPROTO ${openssl("wrong version number")}`, "wrong version number: use a port"],
    [
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      openssl("tlsv13 alert certificate required"),
      "tlsv13 alert certificate required: give a certificate"
    ],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", openssl("tlsv1 alert unknown ca"), "`cert` and `key`"],
    ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", openssl("tlsv1 alert protocol version"), "version or cipher"]
  ]
  for (const [code, message, expected] of cases) {
    it(`${code} is said as a sentence, with what mends it`, () => {
      const sentence = Tls.problem(failed(code, message))
      assert.include(sentence, expected)
      assert.notMatch(sentence ?? "", /\n|\.c:|error:/)
    })
  }

  it("what passes by itself is none of it", () => {
    const lost = failed("ECONNRESET", "Client network socket disconnected before secure TLS connection was established")
    for (const error of [lost, failed("ECONNREFUSED", "no"), failed("OUT_OF_MEM", "no"), new Error("no"), null, "no"]) {
      assert.strictEqual(Tls.problem(error), undefined)
    }
  })

  it("a key that is none is told before anything is connected, and not shown", () => {
    const sentence = Tls.mistake({ key: "very-secret", cert: "very-secret" })
    for (const words of ["`tls`", "no start line", "PEM"]) assert.include(sentence, words)
    assert.notInclude(sentence, "very-secret")
    assert.strictEqual(Tls.mistake({}), undefined)
  })
})
