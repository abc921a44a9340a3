import { Broker, Handout, type Message, Wire } from "@effect-cqrs/core"
import type { BrokerSuite } from "@effect-cqrs/testing"
import { Clock, Context, Deferred, Effect, Either, Layer, Queue, type Scope } from "effect"
import { type Connection, linkTo, unavailable } from "./link.ts"

/** What a broker may do wrong. */
export type Fault =
  | "acknowledges what it never stored"
  | "acknowledges as it hands out"
  | "answers Delivered when there is no answer"
  | "brings a batch in reverse"
  | "brings messages twice"
  | "decides twice in sift"
  | "does not reconnect"
  | "drops headers that it forwards"
  | "drops what cannot be read"
  | "forgets at a restart"
  | "forwards what it has read and not what came"
  | "gives messages of a key to several"
  | "goes on with a key after a refusal"
  | "ignores the window"
  | "ignores the limit"
  | "puts what is given back behind the others"
  | "rejects where a topic is missing"
  | "settles what sift keeps"
  | "takes a tombstone for an empty body"
  | "waits for an answer for ever"

type Stored = BrokerSuite.Foreign & { readonly place: string; readonly contentEncoding: string | undefined }

/** Messages of one group. */
interface Backlog {
  readonly topics: Set<string>
  /** Those that came back are in their old places. */
  ready: Array<{ readonly stored: Stored; readonly place: number; redeliveries: number }>
  /** The first one is active. */
  members: Array<Member>
}

interface Member {
  readonly connection: Connection
  readonly window: number
  readonly out: Set<Backlog["ready"][number]>
  readonly push: (item: Backlog["ready"][number]) => void
}

const make = (faults: ReadonlySet<Fault>) => {
  const topics = new Map<string, { isThere: boolean; readonly readers: Set<(stored: Stored) => void> }>()
  const backlogs = new Map<string, Backlog>()
  let places = 0

  const pump = (backlog: Backlog): void => {
    const active = faults.has("gives messages of a key to several") ? backlog.members : backlog.members.slice(0, 1)
    for (const member of active) {
      while (backlog.ready.length > 0 && (member.out.size < member.window || faults.has("ignores the window"))) {
        const item = backlog.ready.shift()!
        if (!faults.has("acknowledges as it hands out")) member.out.add(item)
        member.push(item)
        if (active.length > 1) break
      }
    }
  }

  return {
    topic: (name: string) => {
      topics.set(name, { isThere: true, readers: new Set() })
      return name
    },
    setThere: (name: string, isThere: boolean) => {
      topics.get(name)!.isThere = isThere
    },
    read: (name: string, reader: (stored: Stored) => void) => topics.get(name)!.readers.add(reader),
    forget: () => {
      for (const backlog of backlogs.values()) backlog.ready = []
    },
    append: (stored: Stored): Broker.Outcome => {
      const topic = topics.get(stored.topic)
      if (topic?.isThere !== true) {
        return faults.has("rejects where a topic is missing")
          ? Broker.Outcome.Rejected({ reason: "no such topic" })
          : Broker.Outcome.Retriable({ scope: "destination", reason: "no such topic" })
      }
      if ((stored.body?.length ?? 0) > 2 * 1024 * 1024) return Broker.Outcome.Rejected({ reason: "too large" })
      places += 1
      if (faults.has("acknowledges what it never stored") && places % 7 === 3) return Broker.Outcome.Delivered()
      const times = faults.has("brings messages twice") && places % 7 === 3 ? 2 : 1
      for (let n = 0; n < times; n++) {
        for (const reader of topic.readers) reader(stored)
        for (const backlog of backlogs.values()) {
          if (!backlog.topics.has(stored.topic)) continue
          backlog.ready.push({ stored, place: places, redeliveries: 0 })
          pump(backlog)
        }
      }
      return Broker.Outcome.Delivered()
    },
    backlog: (group: string, names: ReadonlyArray<string>) => {
      const backlog: Backlog = backlogs.get(group) ?? { topics: new Set(), ready: [], members: [] }
      backlogs.set(group, backlog)
      for (const name of names) backlog.topics.add(name)
      return backlog
    },
    join: (backlog: Backlog, member: Member) => {
      backlog.members.push(member)
      pump(backlog)
    },
    leave: (backlog: Backlog, member: Member) => {
      backlog.members = backlog.members.filter((one) => one !== member)
      backlog.ready = faults.has("puts what is given back behind the others")
        ? [...backlog.ready, ...member.out]
        : [...member.out, ...backlog.ready].sort((one, other) => one.place - other.place)
      for (const item of member.out) item.redeliveries += 1
      member.out.clear()
      pump(backlog)
    },
    settle: (backlog: Backlog, member: Member, item: Backlog["ready"][number]) => {
      member.out.delete(item)
      pump(backlog)
    }
  }
}

type Server = ReturnType<typeof make>

const wire = Wire.make(["ce_"])

const textOf = (value: string | Uint8Array): string | undefined =>
  Either.getOrUndefined(
    Either.try(() => typeof value === "string" ? value : new TextDecoder("utf-8", { fatal: true }).decode(value))
  )

const recordOf = (message: Message.Message): Omit<Stored, "place"> => {
  const { body, contentEncoding, contentType, headers } = Either.getOrThrow(wire.encode(message))
  return { topic: message.topic, key: message.key, headers, contentType, contentEncoding, body }
}

/** A client that is as good as its faults. */
const client = (server: Server, link: ReturnType<typeof linkTo>, faults: ReadonlySet<Fault>) =>
  Effect.gen(function*() {
    let connection: Connection | undefined
    let places = 0
    /** Gives up on a connection that does not answer. */
    const request = <A>(run: () => A): Effect.Effect<A, Broker.BrokerError> =>
      Effect.gen(function*() {
        if (connection === undefined || connection.isClosed) {
          const own = yield* link.connect
          connection = own
          own.onClientLoss = () => {
            if (connection === own) connection = undefined
          }
        }
        const own = connection
        const answer = own.up ? run() : undefined
        yield* Effect.yieldNow()
        if (answer !== undefined && own.down && !own.isClosed) return answer
        if (faults.has("waits for an answer for ever")) return yield* Effect.never
        yield* Effect.sleep("30 millis")
        link.close(own)
        return yield* unavailable
      })

    const append = (records: ReadonlyArray<Omit<Stored, "place">>) =>
      Effect.map(
        Effect.either(request(() => {
          const held = new Set<string>()
          const batch = faults.has("brings a batch in reverse") ? [...records].reverse() : records
          const outcomes = batch.map((record) => {
            const lane = record.key === undefined ? undefined : `${record.topic} ${record.key}`
            if (lane !== undefined && held.has(lane)) {
              return Broker.Outcome.Retriable({ scope: "destination", reason: "an earlier one of its key" })
            }
            const outcome = server.append({ ...record, place: `${record.topic}/${++places}` })
            if (
              lane !== undefined && outcome._tag !== "Delivered" && !faults.has("goes on with a key after a refusal")
            ) {
              held.add(lane)
            }
            return outcome
          })
          return batch === records ? outcomes : outcomes.reverse()
        })),
        Either.getOrElse((error): ReadonlyArray<Broker.Outcome> =>
          records.map(() =>
            faults.has("answers Delivered when there is no answer")
              ? Broker.Outcome.Delivered()
              : Broker.Outcome.Retriable({ scope: "broker", reason: error.message })
          )
        )
      )

    const deliveryOf = ({ redeliveries, stored }: Backlog["ready"][number]): Broker.Delivery => {
      const headers = Object.entries(stored.headers).flatMap(([name, value]) => {
        const text = textOf(value)
        return text === undefined ? [] : [[name, text] as const]
      })
      const isTombstone = stored.body === undefined && !faults.has("takes a tombstone for an empty body")
      const { message, unreadable } = wire.decode({
        topic: stored.topic,
        key: stored.key,
        place: stored.place,
        headers: Object.fromEntries(headers),
        contentType: stored.contentType,
        contentEncoding: stored.contentEncoding,
        body: stored.body ?? new Uint8Array(0),
        isTombstone
      })
      return {
        message,
        unreadable,
        isTombstone,
        redeliveries,
        forward: (to) => {
          const from = faults.has("forwards what it has read and not what came") ? recordOf(message) : stored
          const changed = Object.entries({ ...from.headers, ...to.headers }).filter(
            (entry): entry is [string, string | Uint8Array] => entry[1] !== undefined
          )
          const headers = faults.has("drops headers that it forwards")
            ? Object.fromEntries(Object.entries(from.headers).filter(([name]) => name.startsWith("ce_")))
            : Object.fromEntries(changed)
          return Effect.map(append([{ ...from, topic: to.topic, headers }]), ([outcome]) => outcome!)
        }
      }
    }

    const isDropped = (delivery: Broker.Delivery) =>
      delivery.unreadable !== undefined && faults.has("drops what cannot be read")

    return Broker.Broker.of({
      publish: (batch) => batch.length === 0 ? Effect.succeed([]) : append(batch.map(recordOf)),
      consume: ({ group, topics, window }) =>
        Effect.gen(function*() {
          const handout = Handout.make()
          const backlog = yield* Effect.retry(request(() => server.backlog(group, topics)), { times: 50 })
          const joined = Effect.gen(function*() {
            const lost = yield* Deferred.make<void>()
            const own = yield* link.connect
            const isOurs = new Set<string>()
            const member: Member = {
              connection: own,
              window: window ?? 256,
              out: new Set(),
              push: (item) => {
                if (!own.down) return
                const delivery = deliveryOf(item)
                if (isDropped(delivery)) return void member.out.delete(item)
                isOurs.add(item.stored.place)
                handout.offer({
                  deliver: () => delivery,
                  lane: item.stored.key === undefined || faults.has("gives messages of a key to several")
                    ? undefined
                    : `${item.stored.topic} ${item.stored.key}`,
                  origin: own,
                  onSettled: () => {
                    if (own.up) server.settle(backlog, member, item)
                  }
                })
              }
            }
            own.onClientLoss = () => {
              handout.withdraw(own)
              Deferred.unsafeDone(lost, Effect.void)
            }
            own.onServerLoss = () => server.leave(backlog, member)
            server.join(backlog, member)
            // a heartbeat
            yield* Effect.raceFirst(
              Deferred.await(lost),
              Effect.repeat(Effect.delay(Effect.sync(() => own.up && own.down), "20 millis"), { while: (is) => is })
            ).pipe(Effect.ensuring(Effect.sync(() => link.close(own))))
          })
          yield* Effect.forkScoped(
            faults.has("does not reconnect") ? joined : Effect.forever(Effect.zipRight(
              Effect.ignore(joined),
              Effect.sleep("5 millis")
            ))
          )
          const source = yield* handout.join
          return faults.has("ignores the limit") ? { ...source, takeMany: () => source.takeMany(1000) } : source
        }),
      sift: ({ group, topic }, decide) =>
        Effect.gen(function*() {
          const backlog = server.backlog(group, [topic])
          let settled = 0
          for (const item of [...backlog.ready]) {
            if (item.stored.topic !== topic) continue
            if (faults.has("decides twice in sift")) yield* decide(deliveryOf(item))
            const what = yield* decide(deliveryOf(item))
            if (what === "settled") settled += 1
            if (what === "settled" || faults.has("settles what sift keeps")) {
              backlog.ready = backlog.ready.filter((one) => one !== item)
            }
          }
          return settled
        })
    })
  })

/** The feature that the suite's effects ask for. */
export class Admin extends Context.Tag("test/Admin")<Admin, Server>() {}

/** All that the suite asks for, from a server in this process that is as good as its faults. */
export const factsOf = (faulty: ReadonlyArray<Fault> = []): Omit<BrokerSuite.Facts<Admin>, "describe" | "it"> => {
  const faults = new Set(faulty)
  const servers = new Map<string, Server>()
  const serverOf = (name: string): Server => {
    const known = servers.get(name) ?? make(faults)
    servers.set(name, known)
    return known
  }
  const layerOf = (name: string, link: ReturnType<typeof linkTo>) =>
    Layer.merge(
      Layer.effect(Broker.Broker, client(serverOf(name), link, faults)),
      Layer.succeed(Admin, serverOf(name))
    )
  return {
    layer: (name) => layerOf(name, linkTo()),
    topic: (name) => Effect.map(Admin, (server) => server.topic(name)),
    ordered: true,
    countsRedeliveries: true,
    capacity: { _tag: "Unsupported", reason: "it has room" },
    restart: (name) =>
      Effect.sync(() => {
        const link = linkTo()
        return {
          layer: layerOf(name, link),
          restart: Effect.sync(() => {
            if (faults.has("forgets at a restart")) serverOf(name).forget()
            link.lose()
          })
        }
      }),
    network: (name) =>
      Effect.sync(() => {
        const link = linkTo()
        return { layer: layerOf(name, link), proxy: link.proxy }
      }),
    destination: {
      remove: (topic) => Effect.map(Admin, (server) => server.setThere(topic, false)),
      restore: (topic) => Effect.map(Admin, (server) => server.setThere(topic, true)),
      keepsMessages: true
    },
    foreign: {
      prefix: "ce_",
      publish: (record) =>
        Effect.flatMap(
          Effect.zip(Admin, Clock.currentTimeNanos),
          ([server, now]) =>
            Effect.sync(() => server.append({ ...record, contentEncoding: undefined, place: `foreign ${now}` }))
        ),
      read: (topic): Effect.Effect<Effect.Effect<BrokerSuite.Foreign>, never, Admin | Scope.Scope> =>
        Effect.gen(function*() {
          const records = yield* Queue.unbounded<BrokerSuite.Foreign>()
          ;(yield* Admin).read(topic, (stored) => Queue.unsafeOffer(records, stored))
          return Queue.take(records)
        })
    },
    tombstones: true,
    window: { beyond: 0 },
    refused: (message) => ({ ...message, payload: new Uint8Array(3 * 1024 * 1024) }),
    durable: true,
    largestPayload: 1024 * 1024,
    quiet: "30 millis"
  }
}
