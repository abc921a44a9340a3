/**
 * A way to a server that can be cut and stalled: for tests of what clients do when the network fails.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/**
 * A TCP proxy on the loopback interface. Each of its members returns when the state is as it says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Proxy {
  readonly host: string
  readonly port: number
  /** Destroys all connections, and refuses new ones. */
  readonly cut: Effect.Effect<void>
  /**
   * Half-open: connections stay, and what either side sends is swallowed, its closing too. New connections are accepted
   * and hear nothing.
   */
  readonly stall: Effect.Effect<void>
  /** Only what the server sends is swallowed: a request arrives, its answer never does. */
  readonly stallResponses: Effect.Effect<void>
  /**
   * New connections go through again. Those that were stalled lack bytes and stay silent for ever, as after the loss of a
   * router's state; what one side has closed meanwhile is closed to the other now.
   */
  readonly restore: Effect.Effect<void>
  /** How many connections of clients are open, silent ones too. */
  readonly connections: Effect.Effect<number>
}

/**
 * A proxy to a server, for as long as the scope is open. It lets everything through at first. A port that cannot be
 * listened on is a defect.
 *
 * @example
 * ```ts
 * import { Proxy } from "@effect-cqrs/testing"
 * import { Effect } from "effect"
 * import * as Net from "node:net"
 *
 * export const program = Effect.gen(function*() {
 *   const proxy = yield* Proxy.make({ host: "127.0.0.1", port: 5672 })
 *   const socket = Net.connect(proxy.port, proxy.host)
 *   yield* proxy.cut
 *   socket.destroy()
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  to: { readonly host: string; readonly port: number }
): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const connections = new Set<Connection>()
    let swallows: Swallows = "nothing"
    const server = Net.createServer({ allowHalfOpen: true }, (client) => {
      const connection = new Connection(client, swallows === "everything" ? undefined : Net.connect(to))
      connections.add(connection)
      client.on("close", () => connections.delete(connection))
      connection.swallow(swallows)
    })
    const destroyAll = () => {
      for (const connection of connections) connection.destroy()
    }
    const listen = (port: number) =>
      Effect.async<number>((resume) => {
        const fail = (error: Error) => resume(Effect.die(error))
        server.once("error", fail)
        server.listen(port, host, () => {
          server.off("error", fail)
          resume(Effect.succeed((server.address() as Net.AddressInfo).port))
        })
      })
    const close = Effect.async<void>((resume) => {
      if (!server.listening) return resume(Effect.void)
      server.close(() => resume(Effect.void))
      destroyAll()
    })
    const port = yield* Effect.acquireRelease(listen(0), () => close)

    const oneAtATime = Effect.unsafeMakeSemaphore(1).withPermits(1)
    const become = (what: Swallows) =>
      oneAtATime(Effect.sync(() => {
        swallows = what
        for (const connection of connections) connection.swallow(what)
      }))
    return {
      host,
      port,
      cut: oneAtATime(close),
      stall: become("everything"),
      stallResponses: become("responses"),
      restore: Effect.zipRight(
        become("nothing"),
        oneAtATime(Effect.suspend(() => server.listening ? Effect.void : Effect.asVoid(listen(port))))
      ),
      connections: Effect.sync(() => connections.size)
    }
  })

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const host = "127.0.0.1"

type Swallows = "nothing" | "responses" | "everything"

/** A client's connection and the one to the server behind it; none while new ones are stalled. */
class Connection {
  private swallows: Swallows = "nothing"
  /** Bytes may be missing in it. */
  private wasStalled = false
  /** What a side's closing would have done while it was swallowed. */
  private readonly owed: Array<() => void> = []

  constructor(private readonly client: Net.Socket, private readonly server: Net.Socket | undefined) {
    if (server === undefined) {
      client.on("error", ignore).on("end", () => client.end()).resume()
      return
    }
    this.pass(client, server, () => this.swallows === "everything")
    this.pass(server, client, () => this.swallows !== "nothing")
  }

  /** A stalled connection may become more silent, and never less. */
  swallow(what: Swallows): void {
    if (what !== "nothing") {
      this.wasStalled = true
      if (this.swallows !== "everything") this.swallows = what
      return
    }
    if (this.wasStalled) this.swallows = "everything"
    for (const pay of this.owed.splice(0)) pay()
  }

  destroy(): void {
    this.client.destroy()
    this.server?.destroy()
  }

  private pass(from: Net.Socket, into: Net.Socket, isSwallowed: () => boolean): void {
    const orOwe = (pay: () => void) => () => {
      if (isSwallowed()) this.owed.push(pay)
      else pay()
    }
    from.on("error", ignore)
    from.on("data", (bytes) => {
      if (isSwallowed() || into.destroyed || into.write(bytes)) return
      from.pause()
      into.once("drain", () => from.resume())
    })
    from.on("end", orOwe(() => into.end()))
    from.on("close", orOwe(() => into.destroy()))
  }
}

const ignore = (): void => {}
