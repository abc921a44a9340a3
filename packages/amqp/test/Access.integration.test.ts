/** Certificates, and several URLs, on servers that ask for them. */
import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker } from "@effect-cqrs/core"
import { Endpoint, Fixtures, Proxy } from "@effect-cqrs/testing"
import { afterAll, assert, describe, it, layer } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, Redacted } from "effect"
import { available, isHere } from "./support/node.ts"
import { Admin, admin, cleanUp, endpoint, publish, shortOf, topicOf, unique } from "./support/rabbitmq.ts"
import { type Secured, secured } from "./support/secured.ts"

const { messageOf } = Fixtures

class Own extends Context.Tag("test/Own")<Own, Secured>() {}

Endpoint.suite("RabbitMQ", { describe, it, ...endpoint }, (url) => {
  afterAll(() => cleanUp(url))

  const quiet = Logger.remove(Logger.defaultLogger)
  const refused = (options: AmqpBroker.Options) =>
    Effect.scoped(Effect.flip(Layer.build(Layer.merge(AmqpBroker.layer(options), quiet))))
  const changed = (change: (url: URL) => void) => {
    const parsed = new URL(Redacted.value(url))
    change(parsed)
    return Redacted.make(parsed.href)
  }
  const published = Effect.gen(function*() {
    const topic = unique("tls")
    const broker = yield* Broker.Broker
    const source = yield* broker.consume({ topics: [topic], group: "readers" })
    assert.deepStrictEqual(shortOf(yield* publish(messageOf({ topic, id: "1" }))), ["Delivered"])
    assert.strictEqual((yield* Effect.scoped(source.take)).message.id, "1")
  }).pipe(Effect.scoped)

  describe("of several URLs", () => {
    const down = Redacted.make("amqp://guest:guest@127.0.0.1:1")
    const wrong = changed((url) => {
      url.username = "nobody"
      url.password = "very-secret"
    })
    const onShared = <A, E>(urls: ReadonlyArray<Redacted.Redacted>, body: Effect.Effect<A, E, Broker.Broker | Admin>) =>
      Effect.provide(
        body,
        Layer.merge(Layer.provide(AmqpBroker.layer({ url: urls }), quiet), Layer.scoped(Admin, admin(url)))
      )

    it.scopedLive(
      "the first that answers is connected to, wherever it stands",
      () =>
        Effect.forEach([[down, url], [url, down], [wrong, down, url]], (urls) =>
          onShared(
            urls,
            Effect.gen(function*() {
              const topic = yield* topicOf("several")
              assert.deepStrictEqual(shortOf(yield* publish(messageOf({ topic }))), ["Delivered"])
            })
          )),
      20_000
    )

    it.scopedLive(
      "none answers: each says what is wrong with it, and a wrong password is not waited away",
      () =>
        Effect.gen(function*() {
          for (const urls of [[down, wrong], [wrong, down]]) {
            const error = yield* refused({ url: urls })
            assert.strictEqual((error as Broker.BrokerError).reason, "Configuration")
            for (const words of ["127.0.0.1:1 cannot be reached", "correct the user and the password"]) {
              assert.include(error.message, words)
            }
            assert.notInclude(JSON.stringify(error), "very-secret")
          }
        }),
      20_000
    )

    it.scopedLive("another is connected to when the connection to one is lost", () =>
      Effect.gen(function*() {
        const { hostname, port } = new URL(Redacted.value(url))
        const to = { host: hostname, port: Number(port || 5672) }
        const proxies = [yield* Proxy.make(to), yield* Proxy.make(to)]
        const through = proxies.map((proxy) =>
          changed((url) => {
            url.host = `127.0.0.1:${proxy.port}`
          })
        )
        yield* onShared(
          through,
          Effect.gen(function*() {
            const topic = yield* topicOf("lost")
            const publishing = publish(messageOf({ topic }))
            for (const [one, other] of [proxies, [...proxies].reverse()] as Array<[Proxy.Proxy, Proxy.Proxy]>) {
              yield* other.restore
              yield* one.cut
              yield* Fixtures.eventually("it is delivered", publishing, ([outcome]) => outcome?._tag === "Delivered")
              assert.deepStrictEqual([yield* one.connections, yield* other.connections], [0, 1])
            }
          })
        )
      }), 30_000)
  })

  const node = available(secured)
  if (!isHere(node)) {
    it.skip(`a node with TLS (${node.reason})`, () => {})
    return
  }

  layer(Layer.scoped(Own, node), { excludeTestServices: true, timeout: Duration.seconds(60) })("TLS", (it) => {
    it.scoped(
      "with the right authority and a certificate of one's own publishes and consumes",
      () =>
        Effect.gen(function*() {
          const { authority, client, tls } = yield* Own
          yield* Effect.provide(published, AmqpBroker.layer({ url: tls, tls: { ca: authority, ...client } }))
        }).pipe(Effect.provide(quiet)),
      30_000
    )

    const refusals: ReadonlyArray<
      readonly [what: string, options: (own: Secured) => AmqpBroker.Options, ...words: ReadonlyArray<string>]
    > = [
      ["an authority that is not known here", ({ client, tls }) => ({ url: tls, tls: client }), "`ca` in `tls`"],
      [
        "a certificate of another host",
        ({ authority, client, tls }) => ({ url: tls, tls: { ca: authority, ...client, servername: "other.example" } }),
        "certificate",
        "`servername` in `tls`"
      ],
      [
        "no certificate of one's own, where the server wants one",
        ({ authority, tls }) => ({ url: tls, tls: { ca: authority } }),
        "`cert` and `key` in `tls`"
      ],
      [
        "a certificate that the server does not trust",
        ({ authority, stranger, tls }) => ({ url: tls, tls: { ca: authority, ...stranger } }),
        "`cert` and `key` in `tls`"
      ],
      [
        "a port without TLS",
        ({ url }) => ({ url: Redacted.make(Redacted.value(url).replace("amqp:", "amqps:")) }),
        "port of the server that has TLS"
      ]
    ]
    for (const [what, options, ...words] of refusals) {
      it.scoped(`with ${what} is a matter of configuration`, () =>
        Effect.gen(function*() {
          const error = yield* refused(options(yield* Own))
          assert.instanceOf(error, Broker.BrokerError)
          assert.strictEqual(error.reason, "Configuration")
          for (const word of words) assert.include(error.message, word)
        }), 30_000)
    }
  })
})
