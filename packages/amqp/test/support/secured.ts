/** A RabbitMQ of a test's own with TLS, for clients with a certificate, beside a listener without. */
import { Effect, Redacted, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { freePort, type Node, ownWith } from "./node.ts"

interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Secured extends Node {
  readonly tls: Redacted.Redacted
  /** Nobody knows it but those whom a test tells. */
  readonly authority: string
  readonly client: Certificate
  readonly stranger: Certificate
}

/** Signed by itself, or by an authority in the same folder. */
const certify = (folder: string, name: string, issuer?: string): Certificate => {
  const [key, cert] = ["key", "certificate"].map((what) => path.join(folder, `${name}.${what}.pem`)) as [string, string]
  execFileSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`, "-keyout", key],
    ...issuer === undefined ? ["-addext", "keyUsage=keyCertSign"] : [
      ...["-CA", path.join(folder, `${issuer}.certificate.pem`), "-CAkey", path.join(folder, `${issuer}.key.pem`)],
      ...["-addext", "basicConstraints=critical,CA:false", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    ],
    ...["-out", cert]
  ], { stdio: "ignore" })
  return { cert: fs.readFileSync(cert, "utf8"), key: fs.readFileSync(key, "utf8") }
}

export const secured: Effect.Effect<Secured, unknown, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-cqrs-certificates-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )
  const port = yield* freePort
  const { cert: authority } = certify(folder, "authority")
  certify(folder, "server", "authority")
  const client = certify(folder, "client", "authority")
  const at = (name: string) => path.join(folder, name)
  const node = yield* ownWith([
    `listeners.ssl.1 = 127.0.0.1:${port}`,
    `ssl_options.cacertfile = ${at("authority.certificate.pem")}`,
    `ssl_options.certfile = ${at("server.certificate.pem")}`,
    `ssl_options.keyfile = ${at("server.key.pem")}`,
    "ssl_options.verify = verify_peer",
    "ssl_options.fail_if_no_peer_cert = true",
    ""
  ].join("\n"))
  return {
    ...node,
    tls: Redacted.make(`amqps://guest:guest@127.0.0.1:${port}`),
    authority,
    client,
    stranger: certify(folder, "stranger")
  }
})
