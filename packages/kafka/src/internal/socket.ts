import type { ISocketFactory } from "kafkajs"
import * as net from "node:net"
import * as tls from "node:tls"

export interface Address {
  readonly host: string
  readonly port: number
}

/** Of `host:port`. */
export const addressOf = (text: string): Address => {
  const [host, port] = text.split(":") as [string, string]
  return { host, port: Number(port) }
}

/** The connections of one kafkajs client: it has no way to give one up, and goes on using one that answers no more. */
export interface Sockets {
  readonly factory: ISocketFactory
  /** Ends them at once, all or those to one address; what waits for an answer there fails. */
  readonly cut: (address?: Address | undefined) => void
}

const keepAlive = 60_000

export const make = (redirect: (address: Address) => Address): Sockets => {
  const open = new Map<net.Socket, Address>()
  return {
    factory: ({ host, onConnect, port, ssl }) => {
      const to = redirect({ host, port })
      const socket = ssl
        ? tls.connect({ ...to, ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
        : net.connect({ ...to, noDelay: true }, onConnect)
      socket.setKeepAlive(true, keepAlive)
      open.set(socket, { host, port })
      socket.once("close", () => open.delete(socket))
      return socket
    },
    cut: (address) => {
      for (const [socket, { host, port }] of [...open]) {
        if (address !== undefined && (address.host !== host || address.port !== port)) continue
        // kafkajs hears of an error, not of a close
        socket.destroy(new Error("The connection was given up"))
      }
    }
  }
}
