// PostgreSQL tells its version (ParameterStatus) to those it has let in.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto"
import { converse, cstring, int, parse, ProbeError } from "./wire.mjs"

const md5 = (...parts) => parts.reduce((h, part) => h.update(part), createHash("md5")).digest("hex")

const hmac = (key, text) => createHmac("sha256", key).update(text).digest()

// RFC 5802, without channel binding
const scram = (password) => {
  const first = `n=,r=${randomBytes(18).toString("base64")}`
  return {
    first: `n,,${first}`,
    final: (challenge) => {
      const { i, r, s } = Object.fromEntries(challenge.split(",").map((part) => [part[0], part.slice(2)]))
      const salted = pbkdf2Sync(password, Buffer.from(s, "base64"), Number(i), 32, "sha256")
      const clientKey = hmac(salted, "Client Key")
      const bare = `c=biws,r=${r}`
      const signature = hmac(createHash("sha256").update(clientKey).digest(), `${first},${challenge},${bare}`)
      return `${bare},p=${clientKey.map((byte, at) => byte ^ signature[at]).toString("base64")}`
    }
  }
}

/** @param {string} url */
export const probePostgres = (url, options = {}) => {
  const { database, password, user, ...address } = parse(url, { port: 5432, user: "postgres", database: "test" })
  return converse("PostgreSQL", { ...address, ...options }, async ({ read, where, write }) => {
    const send = (type, ...parts) => {
      const body = Buffer.concat(parts)
      write(Buffer.from(type), int(4, body.length + 4), body)
    }
    const exchange = scram(password)
    send("", int(4, 196608), cstring("user"), cstring(user), cstring("database"), cstring(database), Buffer.alloc(1))
    for (;;) {
      const head = await read(5)
      const type = String.fromCharCode(head[0])
      if (!"RSKENv".includes(type)) throw new RangeError("not a message of the start-up")
      const body = await read(head.readUInt32BE(1) - 4)
      if (type === "E") {
        const text = body.toString().split("\0").find((field) => field[0] === "M")?.slice(1)
        throw new ProbeError(`PostgreSQL on ${where} refuses ${user}: ${text}`, { refused: true })
      } else if (type === "S") {
        const [name, value] = body.toString().split("\0")
        if (name === "server_version") {
          send("X")
          return { product: "PostgreSQL", version: value.split(" ")[0] }
        }
      } else if (type === "R") {
        const kind = body.readUInt32BE(0)
        if (kind === 3) send("p", cstring(password))
        else if (kind === 5) send("p", cstring(`md5${md5(md5(password, user), body.subarray(4, 8))}`))
        else if (kind === 10) {
          send("p", cstring("SCRAM-SHA-256"), int(4, Buffer.byteLength(exchange.first)), Buffer.from(exchange.first))
        } else if (kind === 11) send("p", Buffer.from(exchange.final(body.toString("utf8", 4))))
        else if (kind !== 0 && kind !== 12) return { product: "PostgreSQL", version: undefined }
      }
    }
  })
}
