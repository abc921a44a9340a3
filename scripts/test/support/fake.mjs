import { once } from "node:events"
import * as net from "node:net"

/**
 * A server, on a free port by default, that says its next line whenever it hears something, the first one at once if it
 * greets.
 *
 * @template A
 * @param {object} script
 * @param {boolean} [script.greets]
 * @param {boolean} [script.hangsUp] after the last line
 * @param {ReadonlyArray<Buffer | ((heard: Buffer) => Buffer)>} script.lines
 * @param {number} [script.port]
 * @param {(address: string) => Promise<A>} use
 */
export const withServer = async ({ greets = false, hangsUp = false, lines, port = 0 }, use) => {
  const sockets = new Set()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    const rest = [...lines]
    const speak = (heard) => {
      const line = rest.shift()
      if (line !== undefined) socket.write(typeof line === "function" ? line(heard) : line)
      else if (hangsUp) socket.end()
    }
    if (greets) speak(Buffer.alloc(0))
    socket.on("data", speak)
  })
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  try {
    return await use(`127.0.0.1:${server.address().port}`)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}
