// MariaDB and MySQL: the first packet names the server. The login follows because a handshake that is broken off counts
// against the host (max_connect_errors), and because a server that refuses the tests is no server for them.
import { createHash } from "node:crypto"
import { converse, cstring, intLE, parse, ProbeError, textAt } from "./wire.mjs"

const hash = (algorithm, ...parts) => parts.reduce((h, part) => h.update(part), createHash(algorithm)).digest()

const xor = (a, b) => a.map((byte, i) => byte ^ b[i])

// https://mariadb.com/kb/en/authentication-plugin-mysql_native_password and MySQL's caching_sha2_password
const answer = (plugin, password, nonce) => {
  if (password === "") return Buffer.alloc(0)
  const [algorithm, nonceFirst] = plugin === "caching_sha2_password" ? ["sha256", false] : ["sha1", true]
  const once = hash(algorithm, password)
  const twice = hash(algorithm, once)
  return xor(once, nonceFirst ? hash(algorithm, nonce, twice) : hash(algorithm, twice, nonce))
}

// long password, connect with database, protocol 4.1, secure connection, plugin auth
const capabilities = 0x1 | 0x8 | 0x200 | 0x8000 | 0x80000

const isKnown = (plugin) => plugin === "mysql_native_password" || plugin === "caching_sha2_password"

/** @param {string} url */
export const probeMysql = (url, options = {}) => {
  const { database, password, user, ...address } = parse(url, { port: 3306, user: "root", database: "test" })
  return converse("MariaDB or MySQL", { ...address, ...options }, async ({ read, where, write }) => {
    let sequence = 0
    const packet = async () => {
      const head = await read(4)
      sequence = head[3]
      return read(head.readUIntLE(0, 3))
    }
    const send = (...parts) => {
      const body = Buffer.concat(parts)
      write(intLE(3, body.length), intLE(1, sequence + 1), body)
    }
    const refusal = (body) => body.toString("utf8", body[3] === 0x23 ? 9 : 3)

    const hello = await packet()
    if (hello[0] === 0xff) throw new ProbeError(`${where} refuses connections: ${refusal(hello)}`)
    if (hello[0] !== 10) throw new RangeError("not protocol 10")
    // Before 11.0, MariaDB put 5.5.5- in front, for the replicas of MySQL.
    const banner = textAt(hello, 1).replace(/^5\.5\.5-/, "")
    const server = {
      product: /mariadb/i.test(banner) ? "MariaDB" : "MySQL",
      version: /^[\d.]+/.exec(banner)?.[0] ?? banner
    }
    const rest = 1 + hello.indexOf(0, 1)
    let nonce = Buffer.concat([hello.subarray(rest + 4, rest + 12), hello.subarray(rest + 31, rest + 43)])
    let plugin = textAt(hello, rest + 44)

    const first = answer(plugin, password, nonce)
    send(
      intLE(4, capabilities),
      intLE(4, 1 << 24),
      intLE(1, 45),
      Buffer.alloc(23),
      cstring(user),
      intLE(1, first.length),
      first,
      cstring(database),
      cstring(plugin)
    )
    for (;;) {
      const reply = await packet()
      if (reply[0] === 0xff) {
        const seen = `${server.product} ${server.version} on ${where}`
        throw new ProbeError(`${seen} refuses ${user}: ${refusal(reply)}`, { refused: true })
      } else if (reply[0] === 0xfe) {
        plugin = textAt(reply, 1)
        nonce = reply.subarray(plugin.length + 2, plugin.length + 22)
        // Whether another plugin lets this user in is for the client to find out.
        if (!isKnown(plugin)) return server
        send(answer(plugin, password, nonce))
      } else if (reply[0] === 0x01) {
        // 4 asks for the password itself, which is for TLS only.
        if (reply[1] === 4) return server
      } else {
        sequence = -1
        send(intLE(1, 1))
        return server
      }
    }
  })
}
