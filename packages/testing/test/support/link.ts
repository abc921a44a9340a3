import { Broker } from "@effect-cqrs/core"
import type { Proxy } from "@effect-cqrs/testing"
import { Effect } from "effect"

/** A connection as a proxy sees it: requests go up, answers come down. */
export class Connection {
  up = true
  down = true
  isClosed = false
  onServerLoss: () => void = () => {}
  onClientLoss: () => void = () => {}
}

export const unavailable = new Broker.BrokerError({ reason: "Unavailable", message: "there is no way to the server" })

/** A way to the server. */
export const linkTo = () => {
  const connections = new Set<Connection>()
  let state: "cut" | "stalled" | "responses" | "open" = "open"
  const lose = () => {
    for (const connection of connections) {
      connections.delete(connection)
      connection.onServerLoss()
      connection.onClientLoss()
    }
  }
  const become = (what: typeof state) =>
    Effect.sync(() => {
      state = what
      for (const connection of connections) {
        if (what === "stalled") connection.up = connection.down = false
        if (what === "responses") connection.down = false
      }
      if (what === "cut") lose()
      if (what !== "open") return
      for (const connection of connections) {
        if (!connection.isClosed) continue
        connections.delete(connection)
        connection.onServerLoss()
      }
    })
  return {
    connect: Effect.suspend(() => {
      if (state === "cut") return Effect.fail(unavailable)
      const connection = new Connection()
      if (state === "stalled") connection.up = connection.down = false
      if (state === "responses") connection.down = false
      connections.add(connection)
      return Effect.succeed(connection)
    }),
    close: (connection: Connection) => {
      if (connection.isClosed) return
      connection.isClosed = true
      if (connection.up || state === "open") {
        connections.delete(connection)
        connection.onServerLoss()
      }
      connection.onClientLoss()
    },
    lose,
    proxy: {
      host: "",
      port: 0,
      cut: become("cut"),
      stall: become("stalled"),
      stallResponses: become("responses"),
      restore: become("open"),
      connections: Effect.sync(() => connections.size)
    } satisfies Proxy.Proxy
  }
}
