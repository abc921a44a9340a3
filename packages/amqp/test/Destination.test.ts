/** One exchange, on a server that is made up here: what it does in which order is what matters. */
import type { Broker } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import type { Message } from "amqplib"
import { Effect } from "effect"
import type { Connection } from "../src/internal/client.ts"
import type { Confirming } from "../src/internal/confirming.ts"
import { Destination } from "../src/internal/destination.ts"

interface Sent {
  readonly id: string
  readonly body: Buffer
  readonly confirm: (isTaken: boolean) => void
}

type Events = Parameters<Connection["confirming"]>[0]

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const make = () => {
  const channels: Array<{ readonly sent: Array<Sent>; readonly on: Events }> = []
  const state = { blocked: undefined as string | undefined, isFull: false, isThere: true }
  const connection = {
    blocked: () => state.blocked,
    confirming: (on: Events) => {
      const sent: Array<Sent> = []
      channels.push({ sent, on })
      const channel: Confirming = {
        publish: (_to, body, { messageId }, confirm) => {
          sent.push({ id: String(messageId), body, confirm })
          return state.isFull ? "full" : "ready"
        },
        close: () => Promise.resolve()
      }
      return Promise.resolve(channel)
    }
  } as unknown as Connection
  const destination = new Destination("rooms", {
    current: () => state.isThere ? connection : undefined,
    trouble: () => "RabbitMQ cannot be reached: it is away",
    connected: Effect.succeed(connection)
  })
  const outcomes = new Map<string, Broker.Outcome>()
  const send = (id: string, body = id) =>
    destination.send({
      exchange: "rooms",
      routingKey: "closed",
      packet: { content: Buffer.from(body), properties: { messageId: id } },
      isGivenUp: () => false,
      settle: (outcome) => {
        assert.isFalse(outcomes.has(id), `${id} is answered once`)
        outcomes.set(id, outcome)
      }
    })
  const comeBack = (sent: Sent) =>
    channels.at(-1)!.on.returned({
      content: sent.body,
      fields: { routingKey: "closed" },
      properties: { messageId: sent.id }
    } as unknown as Message)
  const shortOf = () =>
    Object.fromEntries(
      [...outcomes].map(([id, outcome]) => [id, outcome._tag === "Retriable" ? outcome.scope : outcome._tag])
    )
  return { channels, state, destination, send, comeBack, shortOf, outcomes, last: () => channels.at(-1)! }
}

const tooLarge = Object.assign(new Error("PRECONDITION_FAILED - message size is larger than configured max size"), {
  code: 406
})

describe("an exchange", () => {
  it.effect("what comes back is told from what goes through, also of one id", () =>
    Effect.gen(function*() {
      const { comeBack, last, send, shortOf } = make()
      for (const id of ["a", "b", "c"]) send(id)
      yield* turn
      const [a, b, c] = last().sent
      comeBack(b!)
      // a confirm for several comes in order, and the one that came back is among them
      for (const one of [a!, b!, c!]) one.confirm(true)
      assert.deepStrictEqual(shortOf(), { a: "Delivered", b: "destination", c: "Delivered" })
    }))

  it.effect("a message that makes the server close the channel is found, and the others go through", () =>
    Effect.gen(function*() {
      const { channels, last, send, shortOf } = make()
      for (const id of ["a", "bad", "b", "c"]) send(id)
      yield* turn
      assert.strictEqual(last().sent.length, 4)
      last().on.closed(tooLarge)
      // in the meantime another one comes, and waits
      send("later")
      for (let n = 0; n < 20; n++) {
        yield* turn
        const { on, sent } = last()
        const open = sent.filter(({ id }) => shortOf()[id] === undefined)
        if (open.length === 0) break
        if (channels.length < 4 && sent.at(-1)!.id !== "later") assert.strictEqual(open.length, 1, "one at a time")
        if (open[0]!.id === "bad") on.closed(tooLarge)
        else for (const one of open) one.confirm(true)
      }
      assert.deepStrictEqual(shortOf(), {
        a: "Delivered",
        bad: "Rejected",
        b: "Delivered",
        c: "Delivered",
        later: "Delivered"
      })
      assert.deepStrictEqual(channels.map(({ sent }) => sent.map(({ id }) => id)), [
        ["a", "bad", "b", "c"],
        ["a", "bad"],
        ["b", "c", "later"]
      ])
    }))

  it.effect("one that was alone when the channel was closed for it is rejected without being sent again", () =>
    Effect.gen(function*() {
      const { channels, last, send, shortOf } = make()
      send("bad")
      yield* turn
      last().on.closed(tooLarge)
      yield* turn
      assert.deepStrictEqual(shortOf(), { bad: "Rejected" })
      assert.strictEqual(channels.length, 1)
    }))

  it.effect("one that was given up may be what the channel was closed for: nobody else is blamed", () =>
    Effect.gen(function*() {
      const { destination, last, send, shortOf } = make()
      send("bad")
      yield* turn
      destination.fail({ _tag: "Retriable", scope: "broker", reason: "for now" })
      send("good")
      last().on.closed(tooLarge)
      yield* turn
      last().sent.at(-1)!.confirm(true)
      assert.deepStrictEqual(shortOf(), { bad: "broker", good: "Delivered" })
    }))

  it.effect("what was not answered when the exchange was not found is retriable, and the next opens a channel", () =>
    Effect.gen(function*() {
      const { channels, last, send, shortOf } = make()
      send("a")
      yield* turn
      last().on.closed(Object.assign(new Error("NOT_FOUND"), { code: 404 }))
      send("b")
      yield* turn
      last().sent[0]!.confirm(true)
      assert.deepStrictEqual(shortOf(), { a: "destination", b: "Delivered" })
      assert.strictEqual(channels.length, 2)
    }))

  it.effect("a full buffer is waited for, in order, and fails nothing", () =>
    Effect.gen(function*() {
      const { last, send, shortOf, state } = make()
      send("a")
      yield* turn
      state.isFull = true
      for (const id of ["b", "c", "d"]) send(id)
      assert.deepStrictEqual(last().sent.map(({ id }) => id), ["a", "b"])
      last().on.drained()
      assert.deepStrictEqual(last().sent.map(({ id }) => id), ["a", "b", "c"])
      state.isFull = false
      last().on.drained()
      for (const one of last().sent) one.confirm(true)
      assert.deepStrictEqual(shortOf(), { a: "Delivered", b: "Delivered", c: "Delivered", d: "Delivered" })
    }))

  it.effect("a blocked connection is not written to, and not taken for a dead one", () =>
    Effect.gen(function*() {
      const { destination, last, outcomes, send, shortOf, state } = make()
      send("a")
      yield* turn
      state.blocked = "low on memory"
      for (let n = 0; n < 10; n++) assert.strictEqual(destination.watch(), 0)
      send("b")
      assert.deepStrictEqual(shortOf(), { b: "broker" })
      assert.include(JSON.stringify(outcomes.get("b")), "low on memory")
      assert.strictEqual(last().sent.length, 1)
    }))

  it.effect("is owed an answer only while there is no progress", () =>
    Effect.gen(function*() {
      const { destination, last, send } = make()
      assert.strictEqual(destination.watch(), 0)
      for (const id of ["a", "b"]) send(id)
      yield* turn
      destination.watch()
      assert.deepStrictEqual([destination.watch(), destination.watch()], [1, 2])
      last().sent[0]!.confirm(true)
      assert.strictEqual(destination.watch(), 0)
      assert.strictEqual(destination.watch(), 1)
      last().sent[1]!.confirm(true)
      assert.strictEqual(destination.watch(), 0)
      assert.strictEqual(destination.watch(), 0)
    }))

  it.effect("without a connection answers at once why", () =>
    Effect.gen(function*() {
      const { outcomes, send, state } = make()
      state.isThere = false
      send("a")
      assert.deepStrictEqual(outcomes.get("a"), {
        _tag: "Retriable",
        scope: "broker",
        reason: "RabbitMQ cannot be reached: it is away"
      })
    }))
})
