import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { cstring, int, intLE } from "../services/probe/wire.mjs"
import { sleep } from "../services/shell.mjs"
import { withServer } from "./support/fake.mjs"
import * as recorded from "./support/recorded.mjs"

const program = fileURLToPath(new URL("../services.mjs", import.meta.url))

// Ports on which nothing listens, and no program on the path but the ones a test puts there.
const nowhere = {
  EFFECT_CQRS_MARIADB_PORT: "1",
  EFFECT_CQRS_POSTGRES_PORT: "1",
  EFFECT_CQRS_RABBITMQ_PORT: "1",
  EFFECT_CQRS_KAFKA_PORT: "1"
}

let folder

const services = (env, ...args) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], {
      env: { PATH: path.join(folder, "bin"), EFFECT_CQRS_CACHE: path.join(folder, "cache"), ...nowhere, ...env }
    })
    let [stdout, stderr] = ["", ""]
    child.stdout.on("data", (text) => stdout += text)
    child.stderr.on("data", (text) => stderr += text)
    child.once("close", (code) => resolve({ code, stdout, stderr }))
  })

const put = (name, script) =>
  fs.writeFileSync(path.join(folder, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })

const portOf = (address) => address.split(":")[1]

const records = () => {
  const file = path.join(folder, "cache/services.json")
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : []
}

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "effect-cqrs-"))
  fs.mkdirSync(path.join(folder, "bin"))
})

afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

describe("services status", () => {
  it("says of each missing server why, and what to do", async () => {
    const { code, stdout } = await services({}, "status")
    assert.strictEqual(code, 0)
    const lines = stdout.trimEnd().split("\n")
    assert.deepStrictEqual(lines.map((line) => line.split(/ +/)[0]), ["mariadb", "postgres", "rabbitmq", "kafka"])
    for (const line of lines) {
      assert.match(
        line,
        /missing +nothing listens on 127\.0\.0\.1:1\. `npm run services -- up \w+` starts one .*EFFECT_CQRS_/
      )
    }
  })

  it("shows an endpoint of the environment without its password", () =>
    withServer({ greets: true, lines: recorded.mariadb }, async (address) => {
      const env = { EFFECT_CQRS_MARIADB_URL: `mysql://me:secret@${address}/test` }
      const { stdout } = await services(env, "status", "--json", "mariadb")
      assert.notInclude(stdout, "secret")
      assert.deepStrictEqual(JSON.parse(stdout), [{
        name: "mariadb",
        found: true,
        version: "10.11.19",
        address: `${address}/test`,
        how: "environment",
        variable: "EFFECT_CQRS_MARIADB_URL"
      }])
    }))

  it("looks nowhere else where the environment names an endpoint", () =>
    withServer({ lines: recorded.kafka39 }, async (address) => {
      const env = { EFFECT_CQRS_KAFKA_PORT: portOf(address), EFFECT_CQRS_KAFKA_BROKERS: "127.0.0.1:1" }
      const [kafka] = JSON.parse((await services(env, "status", "--json", "kafka")).stdout)
      assert.include(
        kafka.reason,
        "EFFECT_CQRS_KAFKA_BROKERS names an endpoint that cannot be used: nothing listens on 127.0.0.1:1"
      )
    }))

  it("counts a server that is too old as missing", () => {
    const body = Buffer.concat([
      int(1, 10),
      cstring("5.5.5-10.5.29-MariaDB"),
      Buffer.alloc(44),
      cstring("mysql_native_password")
    ])
    const lines = [
      Buffer.concat([intLE(3, body.length), int(1, 0), body]),
      Buffer.from([7, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0])
    ]
    return withServer({ greets: true, lines }, async (address) => {
      const env = { EFFECT_CQRS_MARIADB_PORT: portOf(address) }
      const [mariadb] = JSON.parse((await services(env, "status", "--json", "mariadb")).stdout)
      assert.include(mariadb.reason, `MariaDB 10.5.29 on ${address}/test is too old: 10.6 or later is needed. Stop it`)
    })
  })

  it("asks for a user where the server lets nobody in", () => {
    const denied = Buffer.from("\x16\0\0\x02\xff\x15\x04#28000Access denied", "latin1")
    return withServer({ greets: true, lines: [recorded.mariadb[0], denied] }, async (address) => {
      const env = { EFFECT_CQRS_MARIADB_PORT: portOf(address) }
      const [{ reason }] = JSON.parse((await services(env, "status", "--json", "mariadb")).stdout)
      assert.include(reason, `MariaDB 10.11.19 on ${address} refuses root: Access denied. Set EFFECT_CQRS_MARIADB_URL`)
    })
  })

  it("takes no MariaDB for MySQL", () =>
    withServer({ greets: true, lines: recorded.mariadb }, async (address) => {
      const [mysql] = JSON.parse(
        (await services({ EFFECT_CQRS_MYSQL_URL: `mysql://root@${address}/test` }, "status", "--json", "mysql")).stdout
      )
      assert.include(mysql.reason, `MariaDB 10.11.19 on ${address}/test is not MySQL`)
    }))
})

describe("services env", () => {
  it("prints what answers, as JSON and for a shell", () =>
    withServer({ lines: recorded.kafka41 }, async (address) => {
      const env = { EFFECT_CQRS_KAFKA_PORT: portOf(address) }
      assert.deepStrictEqual(JSON.parse((await services(env, "env", "--json")).stdout), {
        EFFECT_CQRS_KAFKA_BROKERS: address
      })
      assert.strictEqual((await services(env, "env")).stdout, `export EFFECT_CQRS_KAFKA_BROKERS='${address}'\n`)
    }))

  it("prints nothing where nothing answers", async () => {
    assert.strictEqual((await services({}, "env")).stdout, "")
    assert.strictEqual((await services({}, "env", "--json")).stdout, "{}\n")
  })
})

describe("services up", () => {
  it("uses what answers and has then nothing to stop", () =>
    withServer({ lines: recorded.kafka39 }, async (address) => {
      const { code, stdout } = await services({ EFFECT_CQRS_KAFKA_PORT: portOf(address) }, "up", "kafka")
      assert.strictEqual(code, 0)
      assert.match(stdout, /kafka +3\.9 +127\.0\.0\.1:\d+ +local/)
      assert.deepStrictEqual(records(), [])
    }))

  it("fails with the reasons where a server cannot be had, and installs nothing unasked", async () => {
    put("apt-get", `echo "$@" >> ${folder}/calls`)
    const { code, stdout } = await services({}, "up", "rabbitmq", "kafka")
    assert.strictEqual(code, 1)
    assert.match(
      stdout,
      /rabbitmq .*nothing listens on 127\.0\.0\.1:1; no Docker engine answers; packages of the system are for --install\./
    )
    assert.match(
      stdout,
      /kafka .*no Docker engine answers; Kafka's jars need Java 11 or later, and no java is on the path\./
    )
    assert.isFalse(fs.existsSync(path.join(folder, "calls")))
  })

  it("does not take a Kafka of another release than the one asked for", () =>
    withServer({ lines: recorded.kafka39 }, async (address) => {
      const env = { EFFECT_CQRS_KAFKA_PORT: portOf(address) }
      const { code, stdout } = await services(env, "up", "kafka", "--kafka-version", "4.1.2")
      assert.strictEqual(code, 1)
      assert.include(stdout, `Kafka 3.9 on ${address} is not the 4.1.2 asked for`)
    }))

  it("starts containers where an engine answers, and down removes them and nothing else", async () => {
    const address = await withServer({ lines: [] }, async (address) => address)
    const calls = path.join(folder, "calls")
    const healthy = path.join(folder, "healthy")
    const wait = `while [ ! -f ${healthy} ]; do /bin/sleep 0.1; done`
    put("docker", `echo "$@" >> ${calls}\ncase "$*" in *" up "*) ${wait} ;; esac`)
    const env = { EFFECT_CQRS_POSTGRES_PORT: portOf(address) }
    const starting = services(env, "up", "postgres")
    while (!fs.existsSync(calls) || !fs.readFileSync(calls, "utf8").includes(" up ")) await sleep(50)
    const up = await withServer({ lines: recorded.postgres, port: Number(portOf(address)) }, () => {
      fs.writeFileSync(healthy, "")
      return starting
    })
    assert.match(up.stdout, /postgres +15\.20 +127\.0\.0\.1:\d+\/test +docker/)
    assert.strictEqual(up.code, 0)
    assert.match(
      fs.readFileSync(calls, "utf8"),
      /compose --project-name \S+ --file \S+compose\.yaml up --detach --wait postgres\n$/
    )
    assert.strictEqual((await services(env, "down", "kafka")).code, 0)
    assert.strictEqual(records().length, 1)
    assert.strictEqual((await services(env, "down")).code, 0)
    assert.match(fs.readFileSync(calls, "utf8"), /rm --stop --force --volumes postgres\n$/)
    assert.deepStrictEqual(records(), [])
  })

  it("takes over the lock of a process that died", () =>
    withServer({ lines: recorded.kafka39 }, async (address) => {
      fs.mkdirSync(path.join(folder, "cache"))
      fs.writeFileSync(path.join(folder, "cache/services.lock"), "4194304999")
      const { code } = await services({ EFFECT_CQRS_KAFKA_PORT: portOf(address) }, "up", "kafka")
      assert.strictEqual(code, 0)
    }))

  it("waits for another call that is at work", () =>
    withServer({ lines: recorded.kafka39 }, async (address) => {
      const lock = path.join(folder, "cache/services.lock")
      fs.mkdirSync(path.join(folder, "cache"))
      fs.writeFileSync(lock, `${process.pid}`)
      const waiting = services({ EFFECT_CQRS_KAFKA_PORT: portOf(address) }, "up", "kafka")
      await sleep(500)
      assert.deepStrictEqual(records(), [])
      fs.rmSync(lock)
      const { code, stderr } = await waiting
      assert.strictEqual(code, 0)
      assert.include(stderr, `Another call is at work on the services (process ${process.pid})`)
    }))
})

describe("services", () => {
  it("tells its usage on request, and exits with 2 for what it does not understand", async () => {
    const help = await services({}, "--help")
    assert.strictEqual(help.code, 0)
    assert.include(help.stdout, "Exit codes: 0 done")
    const wrong = [["fly"], [], ["up", "oracle"], ["up", "--fast"], ["up", "--kafka-version", "new"]]
    for (const args of wrong) {
      const { code, stderr } = await services({}, ...args)
      assert.strictEqual(code, 2, args.join(" "))
      assert.match(stderr, /`npm run services -- --help` tells more\.\n$/)
    }
  })
})
