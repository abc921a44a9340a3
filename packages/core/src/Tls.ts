/**
 * For adapters: what is wrong with the TLS of a connection where waiting does not mend it.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as tls from "node:tls"

/**
 * What a connection has failed with, and what mends it, as a sentence. `undefined` if it was not TLS, or is over as soon as
 * the other side is back, as a connection that ends in the middle of the handshake.
 *
 * Source of the codes: Node, "X509 certificate error codes", and OpenSSL's reasons, which Node puts `ERR_SSL_` before.
 *
 * @example
 * ```ts
 * import { Tls } from "@effect-cqrs/core"
 * import * as assert from "node:assert"
 *
 * assert.strictEqual(
 *   Tls.problem(Object.assign(new Error("certificate has expired"), { code: "CERT_HAS_EXPIRED" })),
 *   "certificate has expired: renew the server's certificate"
 * )
 * assert.strictEqual(Tls.problem(Object.assign(new Error("read"), { code: "ECONNRESET" })), undefined)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const problem = (error: unknown): string | undefined => {
  const { code, message } = (error ?? {}) as Record<string, unknown>
  if (typeof code !== "string") return undefined
  const advice = certificates.get(code) ?? handshakes.find(([pattern]) => pattern.test(code))?.[1]
  return advice === undefined ? undefined : `${spoken(String(message))}: ${advice}`
}

/**
 * Why certificates, a key or an authority cannot be used, as a sentence; `undefined` if they can be. An authority that is no
 * certificate is not noticed by Node: then no server is trusted.
 *
 * @since 0.1.0
 * @category accessors
 */
export const mistake = (options: tls.SecureContextOptions): string | undefined =>
  Either.match(Either.try(() => tls.createSecureContext(options)), {
    onLeft: (error) =>
      `The option \`tls\` cannot be used: ${spoken(error instanceof Error ? error.message : String(error))}: ` +
      "give `ca`, `cert` and `key` as PEM, and the `passphrase` of the key",
    onRight: () => undefined
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const authority = "give the authority that has signed the server's certificate, as `ca` in `tls`"
const unusable = "have the server's certificate, or its authority's, made anew"
const renewed = "renew the server's certificate"
const clocks = "set the clocks right, or wait until the certificate is valid"
const host = "connect to a host that the certificate names, or give its name as `servername` in `tls`"

const certificates: ReadonlyMap<string, string> = new Map([
  ["DEPTH_ZERO_SELF_SIGNED_CERT", authority],
  ["SELF_SIGNED_CERT_IN_CHAIN", authority],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", authority],
  ["UNABLE_TO_GET_ISSUER_CERT", authority],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", authority],
  ["UNABLE_TO_GET_CRL", "give the authority's list of revoked certificates, as `crl` in `tls`"],
  ["CERT_UNTRUSTED", authority],
  ["CERT_REJECTED", authority],
  ["CERT_HAS_EXPIRED", renewed],
  ["CRL_HAS_EXPIRED", "renew the authority's list of revoked certificates"],
  ["CERT_REVOKED", renewed],
  ["CERT_NOT_YET_VALID", clocks],
  ["CRL_NOT_YET_VALID", clocks],
  ["ERR_TLS_CERT_ALTNAME_INVALID", host],
  ["HOSTNAME_MISMATCH", host],
  ["CERT_SIGNATURE_FAILURE", unusable],
  ["CRL_SIGNATURE_FAILURE", unusable],
  ["CERT_CHAIN_TOO_LONG", unusable],
  ["INVALID_CA", unusable],
  ["INVALID_PURPOSE", unusable],
  ["PATH_LENGTH_EXCEEDED", unusable],
  ["UNABLE_TO_DECRYPT_CERT_SIGNATURE", unusable],
  ["UNABLE_TO_DECRYPT_CRL_SIGNATURE", unusable],
  ["UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY", unusable],
  ["ERROR_IN_CERT_NOT_BEFORE_FIELD", unusable],
  ["ERROR_IN_CERT_NOT_AFTER_FIELD", unusable],
  ["ERROR_IN_CRL_LAST_UPDATE_FIELD", unusable],
  ["ERROR_IN_CRL_NEXT_UPDATE_FIELD", unusable]
])

/** The first that fits. */
const handshakes: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(EPROTO|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/, "use a port of the server that has TLS"],
  [
    /^ERR_SSL_.*ALERT_(CERTIFICATE_|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/,
    "give a certificate that the server trusts, as `cert` and `key` in `tls`"
  ],
  [/^ERR_SSL_/, "see the server's log: it and this program agree on no version or cipher of TLS"]
]

/** What OpenSSL says, without where in its sources. */
const spoken = (message: string): string => /(?:^|:)error:\w+:[^:]*:[^:]*:([^:]+)/.exec(message)?.[1] ?? message.trim()
