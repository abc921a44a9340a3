// One short conversation with a server over TCP, which always ends: with an answer or with a sentence.
import * as net from "node:net"
import * as tls from "node:tls"

/** Nothing usable answered: `heard` tells whether anything did, `refused` whether the server did, and let nobody in. */
export class ProbeError extends Error {
  constructor(message, { heard = true, refused = false } = {}) {
    super(message)
    this.heard = heard
    this.refused = refused
  }
}

/**
 * @typedef {object} Address
 * @property {string} host
 * @property {number} port
 * @property {boolean} [tls]
 * @property {number} [timeout] milliseconds for the whole conversation, 3000 by default
 *
 * @typedef {object} Wire
 * @property {(size: number) => Promise<Buffer>} read exactly `size` bytes
 * @property {(...parts: ReadonlyArray<Uint8Array>) => void} write
 * @property {string} where
 */

// A handshake is small: a longer length field was sent by something that speaks another protocol.
const longest = 1 << 20

/**
 * Connects, talks, and hangs up.
 *
 * @template A
 * @param {string} product the server expected there, for the sentences
 * @param {Address} address
 * @param {(wire: Wire) => Promise<A>} talk
 * @returns {Promise<A>}
 */
export const converse = async (product, { host, port, tls: secure = false, timeout = 3000 }, talk) => {
  const where = `${host.includes(":") ? `[${host}]` : host}:${port}`
  const socket = secure
    ? tls.connect({ host, port, servername: net.isIP(host) ? "" : host })
    : net.connect({ host, port })
  const stranger = (how) =>
    new ProbeError(`${where} accepts connections, but ${how}, so it is no usable ${product} server`)
  // Until the first read nobody else listens for an error, and an unheard one would end the process.
  socket.on("error", () => {})
  const timer = setTimeout(() => {
    socket.destroy(
      socket.connecting
        ? new ProbeError(`${where} takes no connection within ${timeout / 1000} s`, { heard: false })
        : stranger(`did not finish the handshake within ${timeout / 1000} s`)
    )
  }, timeout)
  const chunks = socket[Symbol.asyncIterator]()
  let buffer = Buffer.alloc(0)
  const read = async (size) => {
    if (size < 0 || size > longest) throw stranger("sends something else")
    while (buffer.length < size) {
      const { done, value } = await chunks.next()
      if (done) throw stranger("hung up during the handshake")
      buffer = Buffer.concat([buffer, value])
    }
    const head = buffer.subarray(0, size)
    buffer = buffer.subarray(size)
    return head
  }
  try {
    return await talk({ read, write: (...parts) => void socket.write(Buffer.concat(parts)), where })
  } catch (error) {
    if (error instanceof ProbeError) throw error
    if (error instanceof RangeError) throw stranger("sends something else")
    if (error.code === "ECONNREFUSED") throw new ProbeError(`nothing listens on ${where}`, { heard: false })
    if (error.code === "ECONNRESET" || error.code === "EPIPE") throw stranger("hung up during the handshake")
    throw new ProbeError(`${where} cannot be reached (${error.code ?? error.message})`, { heard: false })
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

/** The bytes of a big-endian (or, below, little-endian) integer. */
export const int = (size, value) => {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}

export const intLE = (size, value) => int(size, value).reverse()

export const cstring = (text) => Buffer.from(`${text}\0`)

/** The text up to the next zero byte. */
export const textAt = (bytes, from) => bytes.toString("utf8", from, bytes.indexOf(0, from))

/** What a connection URL says; the user and password decoded. */
export const parse = (url, { port, user, database }) => {
  const { hostname, password, pathname, port: given, protocol, username } = new URL(url)
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(given || port),
    tls: protocol === "amqps:",
    user: decodeURIComponent(username) || user,
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)) || database
  }
}
