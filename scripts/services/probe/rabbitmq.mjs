// RabbitMQ names itself in connection.start (AMQP 0-9-1); the login follows, so that refused credentials show here.
import { converse, int, parse, ProbeError } from "./wire.mjs"

const short = (text) => Buffer.concat([int(1, Buffer.byteLength(text)), Buffer.from(text)])
const long = (bytes) => Buffer.concat([int(4, bytes.length), bytes])

// {capabilities: {authentication_failure_close: true}}: without it a refused login is only a closed connection.
const properties = long(Buffer.concat([
  short("capabilities"),
  Buffer.from("F"),
  long(Buffer.concat([short("authentication_failure_close"), Buffer.from("t\x01")]))
]))

const sizes = { t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, f: 4, l: 8, d: 8, T: 8, D: 5, V: 0 }

/** The string fields of a field table: the server's product and version are two of them. */
const strings = (table) => {
  const found = {}
  for (let at = 0; at < table.length;) {
    const name = table.toString("utf8", at + 1, at += 1 + table[at])
    const type = String.fromCharCode(table[at++])
    const size = sizes[type] ?? 4 + table.readUInt32BE(at)
    if (type === "S") found[name] = table.toString("utf8", at + 4, at + size)
    at += size
  }
  return found
}

/** @param {string} url */
export const probeRabbitmq = (url, options = {}) => {
  const parsed = parse(url, { user: "guest", database: "/", port: url.startsWith("amqps:") ? 5671 : 5672 })
  const { database: vhost, password, user, ...address } = parsed
  return converse("RabbitMQ", { ...address, ...options }, async ({ read, where, write }) => {
    const send = (method, ...parts) => {
      const body = Buffer.concat([int(2, 10), int(2, method), ...parts])
      write(int(1, 1), int(2, 0), long(body), int(1, 0xce))
    }
    const expect = async (method) => {
      const head = await read(7)
      if (head[0] !== 1) throw new RangeError("not a method frame")
      const body = await read(head.readUInt32BE(3))
      await read(1)
      const heard = body.readUInt16BE(2)
      if (heard === 50) {
        const text = body.toString("utf8", 7, 7 + body[6])
        throw new ProbeError(`RabbitMQ on ${where} refuses ${user}: ${text}`, { refused: true })
      } else if (heard !== method) throw new RangeError(`method ${heard}`)
      return body.subarray(4)
    }
    write(Buffer.from("AMQP\x00\x00\x09\x01"))
    const start = await expect(10)
    const { product = "AMQP broker", version } = strings(start.subarray(6, 6 + start.readUInt32BE(2)))
    send(11, properties, short("PLAIN"), long(Buffer.from(`\0${user}\0${password || "guest"}`)), short("en_US"))
    send(31, (await expect(30)).subarray(0, 8))
    send(40, short(vhost), short(""), int(1, 0))
    await expect(41)
    send(50, int(2, 200), short(""), int(4, 0))
    await expect(51)
    return { product, version }
  })
}
