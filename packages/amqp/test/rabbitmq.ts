import { AmqpBroker } from "@effect-cqrs/amqp"
import { Broker } from "@effect-cqrs/core"
import { connect } from "amqplib"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"

export const variable = "EFFECT_CQRS_RABBITMQ_URL"

/** A connection of the test's own, beside the adapter. */
export class Admin extends Context.Tag("test/Admin")<Admin, AdminService>() {}

export interface AdminService {
  readonly model: Awaited<ReturnType<typeof connect>>
  /** Deletes with the scope what is called so, and queues of which that is a part. */
  readonly forget: (kind: "exchange" | "queue", name: string) => Effect.Effect<void>
}

export const admin = (url: Redacted.Redacted): Effect.Effect<AdminService, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const names = new Map<string, "exchange" | "queue">()
    const model = yield* Effect.acquireRelease(
      Effect.tryPromise(() => connect(Redacted.value(url))),
      (model) =>
        Effect.ignore(Effect.tryPromise(async () => {
          const channel = await model.createChannel()
          for (const [name, kind] of names) {
            if (kind === "queue") await channel.deleteQueue(name)
            else await channel.deleteExchange(name)
          }
          await model.close()
        }))
    )
    model.on("error", () => {})
    return {
      model,
      forget: (kind, name) =>
        Effect.sync(() => {
          names.set(name, kind)
        })
    }
  })

let runs = 0

/** Topics that exist from the first moment, and go with their case. */
export const fixture = (name: string, url: Redacted.Redacted, options: Omit<AmqpBroker.Options, "url">) => {
  const run = `t${process.pid}.${++runs}`
  const layerAdmin = Layer.scoped(Admin, admin(url))
  const layerBroker = Layer.effect(
    Broker.Broker,
    Effect.gen(function*() {
      const { forget } = yield* Admin
      const broker = yield* Broker.Broker
      return Broker.Broker.of({
        ...broker,
        consume: (subscription) =>
          Effect.zipRight(
            Effect.forEach(subscription.topics, (topic) => forget("queue", `${subscription.group}.${topic}`)),
            broker.consume(subscription)
          )
      })
    })
  ).pipe(Layer.provide(AmqpBroker.layer({ url, ...options })))
  return {
    layer: (_case: string) => Layer.provideMerge(layerBroker, layerAdmin),
    topic: (topic: string) =>
      Effect.gen(function*() {
        const { forget, model } = yield* Admin
        const full = `${run}.${name}.${topic}`
        yield* Effect.tryPromise(async () => {
          const channel = await model.createChannel()
          await channel.assertExchange(full, "topic", { durable: true })
          await channel.close()
        })
        yield* forget("exchange", full)
        return full
      })
  }
}
