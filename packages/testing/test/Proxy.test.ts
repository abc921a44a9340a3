import { Fixtures, Proxy } from "@effect-cqrs/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Net from "node:net"

/** A server that answers each text with the same, and remembers all that came. */
const echo = Effect.gen(function*() {
  const sockets = new Set<Net.Socket>()
  let received = ""
  let ended = 0
  const server = Net.createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => {}).on("close", () => sockets.delete(socket)).on("end", () => ended += 1)
    socket.on("data", (bytes) => {
      received += bytes.toString()
      socket.write(bytes)
    })
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  const { port } = server.address() as Net.AddressInfo
  return {
    port,
    open: () => sockets.size,
    received: () => received,
    ended: () => ended,
    hangUp: () => sockets.forEach((socket) => socket.end())
  }
})

const connect = (proxy: Proxy.Proxy) =>
  Effect.gen(function*() {
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(proxy.port, proxy.host)),
      (socket) => Effect.sync(() => socket.destroy())
    )
    let heard = ""
    let state = "connecting"
    socket.on("connect", () => state = "open")
    socket.on("data", (bytes) => heard += bytes.toString())
    socket.on("end", () => state = "ended")
    socket.on("error", (error) => state = "code" in error ? String(error.code) : error.message)
    socket.on("close", () => {
      if (state === "open") state = "closed"
    })
    return { socket, heard: () => heard, state: () => state }
  })

const until = (what: string, look: () => boolean) => Fixtures.eventually(what, Effect.sync(look), (is) => is)

const opened = Effect.gen(function*() {
  const server = yield* echo
  const proxy = yield* Proxy.make({ host: "127.0.0.1", port: server.port })
  const client = yield* connect(proxy)
  client.socket.write("one")
  yield* until("the echo", () => client.heard() === "one")
  return { server, proxy, client }
})

/** The proxy passes on what it gets in order: a way there and back through another connection has all that was before. */
const settled = (proxy: Proxy.Proxy) =>
  Effect.gen(function*() {
    for (let round = 0; round < 3; round++) {
      const other = yield* connect(proxy)
      yield* until("a connection", () => other.state() !== "connecting")
      other.socket.destroy()
      yield* Effect.sleep("5 millis")
    }
  })

describe("Proxy", () => {
  it.scopedLive("passes bytes of any number both ways, and counts connections", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* opened
      const second = yield* connect(proxy)
      const long = "x".repeat(8 * 1024 * 1024)
      second.socket.write(long)
      yield* until("all of it", () => second.heard() === long)
      assert.strictEqual(yield* proxy.connections, 2)
      client.socket.destroy()
      yield* Fixtures.eventually("one is left", proxy.connections, (count) => count === 1)
    }))

  it.scopedLive("an end is passed on, and what comes after it from the other side still arrives", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* opened
      client.socket.end("two")
      yield* until("the end", () => server.ended() === 1 && client.state() === "ended")
      assert.strictEqual(client.heard(), "onetwo")
      yield* Fixtures.eventually("none is left", proxy.connections, (count) => count === 0)
    }))

  it.scopedLive("cut: connections are destroyed on both sides and new ones are refused, until it is restored", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* opened
      yield* proxy.cut
      yield* proxy.cut
      yield* until("closed", () => !["open", "connecting"].includes(client.state()) && server.open() === 0)
      const refused = yield* connect(proxy)
      yield* until("refused", () => refused.state() === "ECONNREFUSED")
      yield* proxy.restore
      yield* proxy.restore
      const again = yield* connect(proxy)
      again.socket.write("two")
      yield* until("the echo", () => again.heard() === "two")
    }))

  it.scopedLive("stall: connections stay open and hear nothing, new ones too, and none of them ever recovers", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* opened
      yield* proxy.stall
      const during = yield* connect(proxy)
      client.socket.write("lost")
      during.socket.write("lost")
      yield* until("connected", () => during.state() === "open")
      yield* settled(proxy)
      assert.strictEqual(server.received(), "one")
      assert.deepStrictEqual([client.state(), during.state()], ["open", "open"])
      yield* proxy.restore
      client.socket.write("lost, too")
      during.socket.write("lost, too")
      const fresh = yield* connect(proxy)
      fresh.socket.write("two")
      yield* until("the echo", () => fresh.heard() === "two")
      yield* settled(proxy)
      assert.strictEqual(server.received(), "onetwo")
      assert.deepStrictEqual([client.heard(), during.heard()], ["one", ""])
    }))

  it.scopedLive("stall: who closes is not heard by the other side before it is restored", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* opened
      const other = yield* connect(proxy)
      other.socket.write("x")
      yield* until("the echo", () => other.heard() === "x")
      yield* proxy.stall
      client.socket.destroy()
      yield* settled(proxy)
      assert.strictEqual(server.open(), 2)
      server.hangUp()
      yield* settled(proxy)
      assert.strictEqual(other.state(), "open")
      yield* proxy.restore
      yield* until("closed", () => server.open() === 0 && other.state() === "ended")
    }))

  it.scopedLive("stallResponses: requests arrive and their answers do not, on new connections either", () =>
    Effect.gen(function*() {
      const { client, proxy, server } = yield* opened
      yield* proxy.stallResponses
      client.socket.write("two")
      const during = yield* connect(proxy)
      yield* until("arrived", () => server.received() === "onetwo")
      during.socket.write("three")
      yield* until("arrived", () => server.received() === "onetwothree")
      yield* settled(proxy)
      assert.deepStrictEqual([client.heard(), during.heard()], ["one", ""])
      yield* proxy.restore
      const fresh = yield* connect(proxy)
      fresh.socket.write("four")
      yield* until("the echo", () => fresh.heard() === "four")
      assert.deepStrictEqual([client.heard(), during.heard()], ["one", ""])
    }))

  it.scopedLive("a server that is not there closes the connection", () =>
    Effect.gen(function*() {
      const free = yield* Effect.scoped(Effect.map(echo, ({ port }) => port))
      const proxy = yield* Proxy.make({ host: "127.0.0.1", port: free })
      const client = yield* connect(proxy)
      yield* until("closed", () => !["open", "connecting"].includes(client.state()))
      yield* Fixtures.eventually("none is left", proxy.connections, (count) => count === 0)
    }))

  it.scopedLive("is gone with its scope, whatever state it is in", () =>
    Effect.gen(function*() {
      for (const state of ["cut", "stall", "stallResponses", "restore"] as const) {
        const { port } = yield* Effect.scoped(Effect.gen(function*() {
          const { proxy } = yield* opened
          yield* proxy[state]
          return proxy
        }))
        const late = yield* connect({ port, host: "127.0.0.1" } as Proxy.Proxy)
        yield* until("refused", () => late.state() === "ECONNREFUSED")
      }
    }))
})
