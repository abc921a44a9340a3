/** A broker of a test's own with logins, TLS and access control, beside a listener on which everything is allowed. */
import { Effect, type Scope } from "effect"
import { execFile, execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { freePort, serverWith } from "./server.ts"

export const user = "orders"
export const password = "very-secret"

/** An authority that nobody knows, and a certificate of it for the loopback interface, in one. */
const certify = (folder: string): string => {
  const [key, certificate, both] = ["key", "certificate", "both"].map((name) => path.join(folder, `${name}.pem`))
  execFileSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key!, "-out", certificate!]
  ], { stdio: "ignore" })
  fs.writeFileSync(both!, fs.readFileSync(key!, "utf8") + fs.readFileSync(certificate!, "utf8"))
  return both!
}

export interface Secured {
  /** Everything is allowed. */
  readonly open: string
  readonly sasl: string
  readonly tls: string
  /** The certificate, which is its own authority. */
  readonly authority: string
}

export const secured: Effect.Effect<Secured, unknown, Scope.Scope> = Effect.gen(function*() {
  const sasl = `127.0.0.1:${yield* freePort}`
  const tls = `127.0.0.1:${yield* freePort}`
  const login = (mechanism: string) => `listener.name.sasl_plaintext.${mechanism}.sasl.jaas.config`
  const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
  let authority = ""
  const { brokers: open, jars } = yield* serverWith(({ controller, folder, port }) => {
    const listeners = `PLAINTEXT://127.0.0.1:${port},SASL_PLAINTEXT://${sasl},SSL://${tls}`
    const pem = certify(folder)
    authority = fs.readFileSync(path.join(folder, "certificate.pem"), "utf8")
    return {
      listeners: `${listeners},CONTROLLER://127.0.0.1:${controller}`,
      "advertised.listeners": listeners,
      "listener.security.protocol.map":
        "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT",
      "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
      [login("plain")]: `org.apache.kafka.common.security.plain.PlainLoginModule required user_${user}="${password}";`,
      [login("scram-sha-256")]: scram,
      [login("scram-sha-512")]: scram,
      "ssl.keystore.type": "PEM",
      "ssl.keystore.location": pem,
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
      "allow.everyone.if.no.acl.found": "true"
    }
  })
  for (const mechanism of ["SCRAM-SHA-256", "SCRAM-SHA-512"]) {
    yield* Effect.async<void, Error>((resume) => {
      const change = `${mechanism}=[password=${password}]`
      execFile(
        process.env.JAVA_HOME ? path.join(process.env.JAVA_HOME, "bin/java") : "java",
        [
          ...["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", path.join(jars, "*")],
          ...["kafka.admin.ConfigCommand", "--bootstrap-server", open, "--alter", "--add-config", change],
          ...["--entity-type", "users", "--entity-name", user]
        ],
        { timeout: 60_000 },
        (error) => resume(error === null ? Effect.void : Effect.fail(error))
      )
    })
  }
  return { open, sasl, tls, authority }
})
