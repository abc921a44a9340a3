import { createHash, createHmac, pbkdf2Sync } from "node:crypto"
import { assert, describe, it } from "vitest"
import { probeKafka } from "../services/probe/kafka.mjs"
import { probeMysql } from "../services/probe/mysql.mjs"
import { probePostgres } from "../services/probe/postgres.mjs"
import { probeRabbitmq } from "../services/probe/rabbitmq.mjs"
import { cstring, int, intLE } from "../services/probe/wire.mjs"
import { withServer } from "./support/fake.mjs"
import * as recorded from "./support/recorded.mjs"

const sentence = (promise) => promise.then(() => assert.fail("it answered"), (error) => error.message)

const packet = (sequence, ...parts) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([intLE(3, body.length), int(1, sequence), body])
}

const nonce = Buffer.from("abcdefghijklmnopqrst")

const mysqlHello = (plugin) =>
  packet(
    0,
    int(1, 10),
    cstring("8.0.36"),
    int(4, 7),
    nonce.subarray(0, 8),
    Buffer.alloc(8),
    int(1, 21),
    Buffer.alloc(10),
    nonce.subarray(8),
    Buffer.alloc(1),
    cstring(plugin)
  )

const ok = (sequence) => packet(sequence, Buffer.alloc(7))

const mysqlError = (sequence, code, text) =>
  packet(sequence, int(1, 0xff), intLE(2, code), Buffer.from(`#28000${text}`))

const sha = (algorithm, ...parts) =>
  createHash(algorithm).update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest()

describe("MariaDB and MySQL", () => {
  it("names MariaDB without the prefix it wears for replicas", () =>
    withServer({ greets: true, lines: recorded.mariadb }, async (address) => {
      const server = await probeMysql(`mysql://root@${address}/test`)
      assert.deepStrictEqual(server, { product: "MariaDB", version: "10.11.19" })
    }))

  it("proves the password by mysql_native_password, also after the server switched to it", async () => {
    const proof = sha("sha1", "secret").map((byte, i) =>
      byte ^ sha("sha1", nonce, sha("sha1", sha("sha1", "secret")))[i]
    )
    const lines = [
      mysqlHello("caching_sha2_password"),
      packet(2, int(1, 0xfe), cstring("mysql_native_password"), nonce, Buffer.alloc(1)),
      (heard) => heard.subarray(4).equals(proof) ? ok(4) : mysqlError(4, 1045, "Access denied")
    ]
    await withServer({ greets: true, lines }, async (address) => {
      const server = await probeMysql(`mysql://me:secret@${address}/test`)
      assert.deepStrictEqual(server, { product: "MySQL", version: "8.0.36" })
    })
  })

  it("proves the password by caching_sha2_password", async () => {
    const proof = sha("sha256", "secret").map((byte, i) =>
      byte ^ sha("sha256", sha("sha256", sha("sha256", "secret")), nonce)[i]
    )
    const lines = [
      mysqlHello("caching_sha2_password"),
      (heard) =>
        heard.includes(proof)
          ? Buffer.concat([packet(2, Buffer.from([1, 3])), ok(3)])
          : mysqlError(2, 1045, "Access denied")
    ]
    await withServer({ greets: true, lines }, async (address) => {
      assert.strictEqual((await probeMysql(`mysql://me:secret@${address}/test`)).version, "8.0.36")
    })
  })

  it("repeats why the server lets the user not in, and whose server it is", () =>
    withServer(
      {
        greets: true,
        lines: [mysqlHello("mysql_native_password"), mysqlError(2, 1045, "Access denied for user 'me'")]
      },
      async (address) =>
        assert.strictEqual(
          await sentence(probeMysql(`mysql://me:wrong@${address}/test`)),
          `MySQL 8.0.36 on ${address} refuses me: Access denied for user 'me'`
        )
    ))

  it("repeats why the server takes no connection", () =>
    withServer(
      { greets: true, lines: [packet(0, int(1, 0xff), intLE(2, 1040), Buffer.from("Too many connections"))] },
      async (address) =>
        assert.strictEqual(
          await sentence(probeMysql(`mysql://me@${address}/test`)),
          `${address} refuses connections: Too many connections`
        )
    ))
})

describe("PostgreSQL", () => {
  const message = (type, ...parts) => {
    const body = Buffer.concat(parts)
    return Buffer.concat([Buffer.from(type), int(4, body.length + 4), body])
  }
  const parameters = recorded.postgres[0].subarray(9)

  it("reads the version of the server that trusts it", () =>
    withServer({ lines: recorded.postgres }, async (address) => {
      const server = await probePostgres(`postgres://postgres@${address}/test`)
      assert.deepStrictEqual(server, { product: "PostgreSQL", version: "15.20" })
    }))

  it("proves the password by SCRAM-SHA-256", async () => {
    const salt = Buffer.from("salt of the server")
    const hmac = (key, text) => createHmac("sha256", key).update(text).digest()
    const storedKey = sha("sha256", hmac(pbkdf2Sync("se:cret", salt, 4096, 32, "sha256"), "Client Key"))
    let [first, challenge] = ["", ""]
    const lines = [
      message("R", int(4, 10), cstring("SCRAM-SHA-256"), Buffer.alloc(1)),
      (heard) => {
        first = heard.toString().split("n,,")[1]
        challenge = `${first.split(",")[1]}server,s=${salt.toString("base64")},i=4096`
        return message("R", int(4, 11), Buffer.from(challenge))
      },
      (heard) => {
        const [bare, proof] = heard.toString("utf8", 5).split(",p=")
        const signature = hmac(storedKey, `${first},${challenge},${bare}`)
        const clientKey = Buffer.from(proof, "base64").map((byte, i) => byte ^ signature[i])
        assert.isTrue(sha("sha256", clientKey).equals(storedKey))
        return Buffer.concat([message("R", int(4, 12), Buffer.from("v=…")), message("R", int(4, 0)), parameters])
      }
    ]
    await withServer({ lines }, async (address) => {
      assert.strictEqual((await probePostgres(`postgres://me:se%3Acret@${address}/test`)).version, "15.20")
    })
  })

  it("proves the password by MD5", async () => {
    const hex = (...parts) =>
      createHash("md5").update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest("hex")
    const lines = [
      message("R", int(4, 5), Buffer.from("salt")),
      (heard) =>
        heard.toString().includes(`md5${hex(hex("secretme"), "salt")}`)
          ? Buffer.concat([message("R", int(4, 0)), parameters])
          : message("E", cstring("Mwrong"), Buffer.alloc(1))
    ]
    await withServer({ lines }, async (address) => {
      assert.strictEqual((await probePostgres(`postgres://me:secret@${address}/test`)).version, "15.20")
    })
  })

  it("repeats why the server refuses", () =>
    withServer(
      {
        lines: [
          message("E", cstring("SFATAL"), cstring("C3D000"), cstring("Mdatabase \"nope\" does not exist"), int(1, 0))
        ]
      },
      async (address) =>
        assert.strictEqual(
          await sentence(probePostgres(`postgres://me@${address}/nope`)),
          `PostgreSQL on ${address} refuses me: database "nope" does not exist`
        )
    ))
})

describe("RabbitMQ", () => {
  it("reads product and version, and takes leave", () =>
    withServer({ lines: recorded.rabbitmq }, async (address) => {
      const server = await probeRabbitmq(`amqp://guest:guest@${address}`)
      assert.deepStrictEqual(server, { product: "RabbitMQ", version: "3.10.8" })
    }))

  it("repeats why the broker refuses", () => {
    const text = "ACCESS_REFUSED - Login was refused"
    const body = Buffer.concat([int(2, 10), int(2, 50), int(2, 403), int(1, text.length), Buffer.from(text), int(4, 0)])
    const close = Buffer.concat([int(1, 1), int(2, 0), int(4, body.length), body, int(1, 0xce)])
    return withServer({ lines: [recorded.rabbitmq[0], close] }, async (address) =>
      assert.strictEqual(
        await sentence(probeRabbitmq(`amqp://guest:wrong@${address}`)),
        `RabbitMQ on ${address} refuses guest: ${text}`
      ))
  })
})

describe("Kafka", () => {
  it.each([["3.9", recorded.kafka39], ["4.1", recorded.kafka41]])(
    "knows %s by its metadata.version",
    (version, lines) =>
      withServer({ lines }, async (address) => {
        assert.deepStrictEqual(await probeKafka(address), { product: "Kafka", version })
      })
  )

  // Of a broker without KRaft: an array with one API in it, no tagged fields.
  const withFetch = (newest) => {
    const body = Buffer.concat([
      int(4, 1),
      int(2, 0),
      int(1, 2),
      int(2, 1),
      int(2, 0),
      int(2, newest),
      int(1, 0),
      int(4, 0),
      int(1, 0)
    ])
    return [Buffer.concat([int(4, body.length), body])]
  }

  it.each([[17, "3.9 or later"], [15, "3.5 or later"], [12, "3.0 or earlier"]])(
    "takes Fetch %i for %s where there is no metadata.version",
    (newest, version) =>
      withServer({ lines: withFetch(newest) }, async (address) => {
        assert.strictEqual((await probeKafka(address)).version, version)
      })
  )

  it("names a broker that does not know the request", () =>
    withServer({ lines: [Buffer.concat([int(4, 10), int(4, 1), int(2, 35), int(4, 0)])] }, async (address) => {
      assert.strictEqual((await probeKafka(address)).version, "2.3 or earlier")
    }))

  it("is not ready while its metadata has no broker", () =>
    withServer(
      { lines: [recorded.kafka41[0], Buffer.concat([int(4, 8), int(4, 2), int(4, 0)])] },
      async (address) =>
        assert.strictEqual(
          await sentence(probeKafka(address, { ready: true })),
          `Kafka on ${address} has no broker in its metadata yet`
        )
    ))

  it("asks the next broker where the first is away", () =>
    withServer({ lines: recorded.kafka39 }, async (address) => {
      assert.strictEqual((await probeKafka(`127.0.0.1:1,${address}`)).version, "3.9")
    }))
})

describe.each([
  ["MariaDB or MySQL", (address, options) => probeMysql(`mysql://root@${address}/test`, options)],
  ["PostgreSQL", (address, options) => probePostgres(`postgres://postgres@${address}/test`, options)],
  ["RabbitMQ", (address, options) => probeRabbitmq(`amqp://${address}`, options)],
  ["Kafka", probeKafka]
])("A probe for %s", (product, probe) => {
  const unusable = (address, how) => `${address} accepts connections, but ${how}, so it is no usable ${product} server`

  it("says that nothing listens", async () => {
    const address = await withServer({ lines: [] }, async (address) => address)
    assert.strictEqual(await sentence(probe(address)), `nothing listens on ${address}`)
  })

  it("gives up on a server that says nothing", () =>
    withServer({ lines: [] }, async (address) =>
      assert.strictEqual(
        await sentence(probe(address, { timeout: 100 })),
        unusable(address, "did not finish the handshake within 0.1 s")
      )))

  it("gives up on a server that stops in the middle", () =>
    withServer({ greets: true, lines: [Buffer.from([0])] }, async (address) =>
      assert.strictEqual(
        await sentence(probe(address, { timeout: 100 })),
        unusable(address, "did not finish the handshake within 0.1 s")
      )))

  it("says that the server hung up", () =>
    withServer(
      { greets: true, lines: [], hangsUp: true },
      async (address) =>
        assert.strictEqual(await sentence(probe(address)), unusable(address, "hung up during the handshake"))
    ))

  it("knows a web server for something else", () =>
    withServer(
      { greets: true, lines: [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")] },
      async (address) => assert.strictEqual(await sentence(probe(address)), unusable(address, "sends something else"))
    ))
})
