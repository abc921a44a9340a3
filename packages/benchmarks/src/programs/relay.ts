/**
 * The other side of `RelayProcess`: a relay that is started and stopped by its parent.
 */
import { Broker } from "@effect-cqrs/core/Broker"
import { OutboxStorage } from "@effect-cqrs/core/OutboxStorage"
import * as Relay from "@effect-cqrs/core/Relay"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Database from "../Database.ts"
import * as Ledger from "../outbox/Ledger.ts"
import * as Program from "../outbox/Program.ts"
import { type Answer, environment, RelayProcessError, type Request } from "../outbox/RelayProcess.ts"
import { sentence } from "../Runner.ts"

const mebibyte = 2 ** 20

const pollMillis = 20

const patienceMillis = 20_000

const resident = () => process.memoryUsage.rss() / mebibyte

const answer = (answer: Answer) => Effect.sync(() => process.send!(answer))

/** A relay that runs. */
const start = (request: Extract<Request, { readonly _tag: "Start" }>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Effect.context<Program.Services>()
    const storage = yield* OutboxStorage
    const ledger = Ledger.make(request)
    const settles: Array<number> = []
    const timed = OutboxStorage.of({
      ...storage,
      settle: (...settlement) =>
        Effect.map(Program.timed(storage.settle(...settlement)), ([millis, tookEffect]) => {
          settles.push(millis)
          return tookEffect
        })
    })
    globalThis.gc!()
    const memory = resident()
    let memoryPeak = memory
    yield* Effect.sync(() => memoryPeak = Math.max(memoryPeak, resident())).pipe(
      Effect.schedule(Schedule.spaced("50 millis")),
      Effect.forkIn(scope)
    )
    const services = Context.add(Context.add(context, OutboxStorage, timed), Broker, ledger.broker)
    yield* Scope.extend(Effect.provide(Layer.build(Layer.fresh(Relay.layer())), services), scope)
    return {
      ledger,
      memory,
      stop: Effect.map(Scope.close(scope, Exit.void), () => ({ settles, memoryPeak }))
    }
  })

/** Waits for so many, as long as any come. */
const reach = (ledger: Ledger.Ledger, published: number) =>
  Effect.gen(function*() {
    let before = -1
    let idle = 0
    while (ledger.taken() < published) {
      idle = ledger.taken() === before ? idle + 1 : 0
      if (idle * pollMillis > patienceMillis) {
        return yield* new RelayProcessError({
          message: `${ledger.taken()} events came of ${published}, and then no more`
        })
      }
      before = ledger.taken()
      yield* Effect.sleep(pollMillis)
    }
  })

const program = Effect.gen(function*() {
  const requests = yield* Queue.unbounded<Request>()
  process.on("message", (request: Request) => Queue.unsafeOffer(requests, request))
  process.on("disconnect", () => process.exit(1))
  for (;;) {
    const first = yield* Queue.take(requests)
    if (first._tag !== "Start") return yield* Effect.dieMessage(`It was told ${first._tag} before Start`)
    const relay = yield* start(first)
    yield* answer({ _tag: "Started", memory: relay.memory })
    for (let running = true; running;) {
      const request = yield* Queue.take(requests)
      if (request._tag === "Stop") {
        const report = yield* relay.stop
        yield* relay.ledger.check(request.published ?? relay.ledger.taken())
        yield* answer({ _tag: "Stopped", ...report })
        running = false
      } else if (request._tag === "Count") {
        yield* answer({ _tag: "Counted", published: relay.ledger.taken() })
      } else if (request._tag === "Await") {
        const behind = Math.max(0, request.published - relay.ledger.taken())
        yield* reach(relay.ledger, request.published)
        yield* answer({ _tag: "Reached", behind })
      }
    }
  }
})

const server = Database.servers.find(({ id }) => id === process.env[environment.server])!
const url = Redacted.make(process.env[environment.url]!)

program.pipe(
  Effect.catchAll((error) => answer({ _tag: "Failed", message: sentence(error) })),
  Effect.provide(Program.services(server, url, 10)),
  Logger.withMinimumLogLevel(LogLevel.Error),
  NodeRuntime.runMain
)
