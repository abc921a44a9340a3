import { Effect } from "effect"
import * as Net from "node:net"

/** A way to a server that can be closed and opened again, on a port of its own. */
export const proxy = (to: { readonly host: string; readonly port: number }) =>
  Effect.gen(function*() {
    const sockets = new Set<Net.Socket>()
    const keep = (socket: Net.Socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
    }
    const server = Net.createServer((from) => {
      const there = Net.connect(to)
      keep(from)
      keep(there)
      from.pipe(there).pipe(from)
    })
    const open = (port: number) =>
      Effect.async<number>((resume) => {
        server.listen(port, "127.0.0.1", () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
      })
    const close = Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      for (const socket of sockets) socket.destroy()
    })
    const port = yield* Effect.acquireRelease(open(0), () => close)
    return { port, close, open: Effect.asVoid(open(port)) }
  })
