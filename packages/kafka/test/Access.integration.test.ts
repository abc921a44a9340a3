/** Logins, certificates and permissions, on a server that asks for them. */
import { Broker } from "@effect-cqrs/core"
import { KafkaBroker } from "@effect-cqrs/kafka"
import { Endpoint, Fixtures } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Either, Exit, Inspectable, Layer, Logger, LogLevel, Redacted, Scope } from "effect"
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from "kafkajs"
import { afterAll, beforeAll } from "vitest"
import { endpoint, hasty, topic, unique, withAdmin } from "./support/kafka.ts"
import { password, type Secured, secured, user } from "./support/secured.ts"

const { messageOf } = Fixtures

Endpoint.suite("Kafka", { describe, it, ...endpoint }, () => {
  const scope = Effect.runSync(Scope.make())
  let server: Secured
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(secured, scope))
  }, 120_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), 60_000)

  const quiet = Logger.remove(Logger.defaultLogger)
  /** All that is logged, at every level, as text. */
  const heard = (said: Array<string>) =>
    Layer.merge(
      Logger.replace(
        Logger.defaultLogger,
        Logger.make((entry) => {
          said.push(Inspectable.format(entry) + Cause.pretty(entry.cause, { renderErrorCause: true }))
        })
      ),
      Logger.minimumLogLevel(LogLevel.All)
    )
  const loginWith = (mechanism: "plain" | "scram-sha-256" | "scram-sha-512", secret: string) => ({
    mechanism,
    username: user,
    password: Redacted.make(secret)
  })
  const within =
    (options: () => KafkaBroker.Options) => <A, E>(body: Effect.Effect<A, E, Broker.Broker | Scope.Scope>) =>
      Effect.suspend(() =>
        Effect.provide(body, Layer.provide(KafkaBroker.layer({ consumer: hasty, ...options() }), quiet))
      )
  const published = (name: string) =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      assert.deepStrictEqual(
        yield* broker.publish([messageOf({ topic: name, id: "1" })]),
        [Broker.Outcome.Delivered()]
      )
      const source = yield* broker.consume({ topics: [name], group: unique("group") })
      assert.strictEqual((yield* Effect.scoped(source.take)).message.id, "1")
    })

  for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
    it.scopedLive(`the right password (${mechanism}) publishes and consumes`, () =>
      Effect.gen(function*() {
        const name = yield* topic(server.open, "login")
        yield* within(() => ({ brokers: [server.sasl], sasl: loginWith(mechanism, password) }))(published(name))
      }), 30_000)

    it.scopedLive(
      `a wrong password (${mechanism}) is a matter of configuration, and is told to nobody`,
      () =>
        Effect.gen(function*() {
          const said: Array<string> = []
          const error = yield* Layer.build(
            KafkaBroker.layer({ brokers: [server.sasl], sasl: loginWith(mechanism, "quite-wrong") })
          ).pipe(Effect.scoped, Effect.flip, Effect.provide(heard(said)))
          assert.instanceOf(error, Broker.BrokerError)
          assert.strictEqual(error.reason, "Configuration")
          assert.include(error.message, "correct the user and the password")
          for (
            const text of [...said, Inspectable.format(error), Cause.pretty(Cause.fail(error)), String(error.cause)]
          ) {
            assert.notInclude(text, "quite-wrong")
            assert.notInclude(text, Buffer.from(`\0${user}\0quite-wrong`).toString("base64"))
          }
        }),
      30_000
    )
  }

  it.scopedLive("TLS with the right authority publishes and consumes", () =>
    Effect.gen(function*() {
      const name = yield* topic(server.open, "tls")
      yield* within(() => ({ brokers: [server.tls], tls: { ca: server.authority } }))(published(name))
    }), 30_000)

  const refusals: ReadonlyArray<readonly [what: string, tls: () => KafkaBroker.Options["tls"], words: string]> = [
    ["an authority that is not known here", () => true, "`ca` in `tls`"],
    ["another host's name", () => ({ ca: server.authority, servername: "other.example" }), "`servername` in `tls`"]
  ]
  for (const [what, tls, words] of refusals) {
    it.scopedLive(`TLS with a certificate of ${what} is a matter of configuration`, () =>
      Effect.gen(function*() {
        const error = yield* Layer.build(KafkaBroker.layer({ brokers: [server.tls], tls: tls() })).pipe(
          Effect.flip,
          Effect.provide(quiet)
        )
        assert.strictEqual(error.reason, "Configuration")
        for (const one of ["certificate", words, server.tls]) assert.include(error.message, one)
      }), 30_000)
  }

  it.scopedLive(
    "of several brokers each says what is wrong with it, and a wrong password is not waited away",
    () =>
      Effect.gen(function*() {
        const down = "127.0.0.1:1"
        for (const brokers of [[down, server.sasl], [server.sasl, down]]) {
          const options = { brokers, sasl: loginWith("plain", "quite-wrong") }
          const error = yield* Effect.flip(Layer.build(KafkaBroker.layer(options))).pipe(Effect.provide(quiet))
          assert.strictEqual(error.reason, "Configuration")
          for (const words of [`${down}: `, `${server.sasl}: it refuses the login`]) {
            assert.include(error.message, words)
          }
        }
        const name = yield* topic(server.open, "several")
        yield* within(() => ({ brokers: [down, server.sasl], sasl: loginWith("plain", password) }))(published(name))
      }),
    30_000
  )

  it.scopedLive(
    "a topic that may not be written to any more holds its own messages back, until it may",
    () =>
      Effect.gen(function*() {
        const [denied, good] = [yield* topic(server.open, "denied"), yield* topic(server.open, "allowed")]
        const rule = {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: denied,
          resourcePatternType: ResourcePatternTypes.LITERAL
        }
        const deny = withAdmin(server.open, (admin) =>
          admin.createAcls({
            acl: [{
              ...rule,
              principal: `User:${user}`,
              host: "*",
              operation: AclOperationTypes.WRITE,
              permissionType: AclPermissionTypes.DENY
            }, {
              ...rule,
              principal: `User:${user}`,
              host: "*",
              operation: AclOperationTypes.DESCRIBE,
              permissionType: AclPermissionTypes.ALLOW
            }]
          }))
        const allow = withAdmin(server.open, (admin) =>
          admin.deleteAcls({
            filters: [{ ...rule, operation: AclOperationTypes.ANY, permissionType: AclPermissionTypes.ANY }]
          }))
        yield* within(() => ({ brokers: [server.sasl], sasl: loginWith("scram-sha-512", password) }))(
          Effect.gen(function*() {
            const broker = yield* Broker.Broker
            const publish = broker.publish([denied, good].map((topic) => messageOf({ topic })))
            assert.deepStrictEqual((yield* publish).map(({ _tag }) => _tag), ["Delivered", "Delivered"])
            yield* deny
            const [held] = yield* Fixtures.eventually("it is denied", publish, ([one, other]) => {
              assert.strictEqual(other?._tag, "Delivered")
              return one?._tag !== "Delivered"
            })
            assert.deepInclude(held, { _tag: "Retriable", scope: "destination" })
            for (const words of [denied, "grant"]) {
              assert.include(held?._tag === "Retriable" ? held.reason : "", words)
            }
            yield* allow
            yield* Fixtures.eventually("it is allowed", publish, ([one]) => one?._tag === "Delivered")
          })
        )
      }),
    30_000
  )

  for (const what of ["topic", "group"] as const) {
    it.scopedLive(
      `a ${what} that may not be read from is a matter of configuration, by name`,
      () =>
        Effect.gen(function*() {
          const name = yield* topic(server.open, "unreadable")
          const group = unique("unreadable")
          const [resourceName, resourceType, operation] = what === "topic"
            ? [name, AclResourceTypes.TOPIC, AclOperationTypes.DESCRIBE]
            : [group, AclResourceTypes.GROUP, AclOperationTypes.READ]
          yield* withAdmin(server.open, (admin) =>
            admin.createAcls({
              acl: [{
                resourceType,
                resourceName,
                resourcePatternType: ResourcePatternTypes.LITERAL,
                principal: `User:${user}`,
                host: "*",
                operation,
                permissionType: AclPermissionTypes.DENY
              }]
            }))
          yield* within(() => ({ brokers: [server.sasl], sasl: loginWith("plain", password) }))(Effect.gen(function*() {
            const broker = yield* Broker.Broker
            const joining = Effect.either(Effect.scoped(broker.consume({ topics: [name], group })))
            // rules reach the node a moment later
            const answer = yield* Fixtures.eventually("it is denied", joining, Either.isLeft)
            const { message, reason } = yield* Effect.flip(answer)
            assert.strictEqual(reason, "Configuration")
            for (const words of [resourceName, "grant"]) assert.include(message, words)
          }))
        }),
      30_000
    )
  }
})
