import { JsonSchemas } from "@effect-cqrs/contracts"
import { command } from "@effect-cqrs/contracts/cli/ContractCommand"
import { Command } from "@effect/cli"
import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { fileURLToPath } from "node:url"
import { printing } from "./cli.ts"
import { rooms } from "./rooms.ts"

const module = fileURLToPath(new URL("./rooms.ts", import.meta.url))
const place = `${module}#rooms`

const run = (...args: ReadonlyArray<string>) =>
  printing(Command.run(command, { name: "test", version: "0" })(["node", "test", ...args]))

const succeeded = (...args: ReadonlyArray<string>) =>
  Effect.map(run(...args), ({ output, result }) => {
    assert.isTrue(Either.isRight(result), output)
    return output
  })

const failed = (...args: ReadonlyArray<string>) =>
  Effect.map(run(...args), ({ output, result }) => {
    const error = Either.getOrThrow(Either.flip(result))
    return {
      output,
      message: "message" in error ? error.message : "",
      reason: "reason" in error ? error.reason : error._tag
    }
  })

/** A file with this text, for as long as the test runs. */
const file = (name: string, text: string) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const path = (yield* Path.Path).join(yield* files.makeTempDirectoryScoped(), name)
    yield* files.writeFileString(path, text)
    return path
  })

it.scoped("prints the documents", () =>
  Effect.gen(function*() {
    const asyncapi = JSON.parse(
      yield* succeeded("asyncapi", "--contract", place, "--broker", "amqp", "--server", "here=localhost:5672")
    )
    assert.strictEqual(asyncapi.asyncapi, "3.0.0")
    assert.deepStrictEqual(asyncapi.servers, { here: { host: "localhost:5672", protocol: "amqps" } })
    assert.property(asyncapi.channels, "audit.rooms")
    assert.deepStrictEqual(JSON.parse(yield* succeeded("schemas", "--contract", place)), yield* JsonSchemas.make(rooms))
    const schema = JSON.parse(yield* succeeded("schemas", "--contract", place, "--event", "room_changed"))
    assert.include(schema, { title: "room_changed", type: "object" })
    assert.match(yield* succeeded("flow", "--contract", place), /^flowchart LR\n/)
    assert.match(yield* succeeded("flow", "--contract", place, "--text"), /^JoinRoom → room_changed → rooms → views\n/)
  }).pipe(Effect.provide(NodeContext.layer)))

it.scoped("compares with what was kept: nothing has changed, or it breaks, as text, JSON and Markdown", () =>
  Effect.gen(function*() {
    const today = yield* JsonSchemas.make(rooms)
    const same = yield* file("same.json", JSON.stringify(today))
    assert.strictEqual(
      yield* succeeded("check", "--contract", place, "--against", same),
      "The contract has not changed."
    )
    const { room_closed, ...events } = today.events
    const less = yield* file("less.json", JSON.stringify({ ...today, events }))
    assert.include(yield* succeeded("check", "--contract", place, "--against", less), "harmless  room_closed is new")
    const more = yield* file("more.json", JSON.stringify({ ...today, events: { ...today.events, gone: room_closed } }))
    const check = (...format: ReadonlyArray<string>) =>
      failed("check", "--contract", place, "--against", more, ...format)
    const told = yield* check()
    assert.deepInclude(told, { reason: "Breaking", message: "The contract breaks what was promised, in 1 place" })
    assert.include(told.output, "breaking  gone is announced no more")
    assert.deepInclude(JSON.parse((yield* check("--json")).output)[0], { rule: "event-removed", breaks: ["consumers"] })
    assert.include((yield* check("--markdown")).output, "| ⛔ | `gone` |")
  }).pipe(Effect.provide(NodeContext.layer)))

it.scoped("what cannot be read is told in a sentence that says what to do", () =>
  Effect.gen(function*() {
    const refusal = (contract: string) => Effect.map(failed("flow", "--contract", contract), ({ message }) => message)
    assert.match(yield* refusal("nowhere.js"), /There is no file nowhere.js: give the module/)
    assert.match(yield* refusal(module), /exports no contract as default: use .*rooms\.ts#rooms$/)
    assert.match(yield* refusal(`${module}#options`), /exports no contract as options: use .*#rooms$/)
    assert.match(yield* refusal(yield* file("none.mjs", "export default 1")), /export what Contract.make makes/)
    assert.match(yield* refusal(yield* file("broken.mjs", "throw new Error('out')")), /cannot be loaded: out/)
    const odd = yield* file("odd.json", "{\"contract\":2}")
    assert.match(
      (yield* failed("check", "--contract", place, "--against", odd)).message,
      /odd.json is not what `contract schemas` prints/
    )
    assert.match(
      (yield* failed("check", "--contract", place, "--against", "none.json")).message,
      /There is no file none.json/
    )
    assert.match(
      (yield* failed("schemas", "--contract", place, "--event", "x")).message,
      /no event x: it has room_changed, /
    )
  }).pipe(Effect.provide(NodeContext.layer)))
