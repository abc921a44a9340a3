import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { unsafeCoerce } from "effect/Function"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import type { Answer } from "../Idempotency.ts"
import type { Definition } from "./request.ts"

/** What a request's class is beside its types: schemas of itself and of its answers. */
interface Schemas {
  readonly success: Schema.Schema<any, any>
  readonly failure: Schema.Schema<any, any>
}

const schemasOf = (definition: Definition): Schemas => unsafeCoerce(definition)

/** Tells a command with its fields from any other. */
export const fingerprint = (definition: Definition, value: object): Effect.Effect<string> =>
  Effect.map(
    Effect.orDie(Schema.encode(unsafeCoerce<Definition, Schema.Schema<object, unknown>>(definition))(value)),
    (encoded) => createHash("sha256").update(`${definition.id}\n${JSON.stringify(encoded)}`).digest("hex")
  )

/** Whether it is the command's own failure: that of a middleware says nothing about what a repetition will meet. */
export const isDeclared = ({ middleware }: Definition, error: unknown): boolean =>
  !middleware.some(({ failure }) => Schema.is(unsafeCoerce<unknown, Schema.Schema<unknown>>(failure))(error))

const written = (outcome: Answer["outcome"], schema: Schema.Schema<any, any>, value: unknown): Effect.Effect<Answer> =>
  Effect.map(
    Effect.orDie(Schema.encode(schema)(value)),
    (encoded) => ({ outcome, body: encoded === undefined ? "" : JSON.stringify(encoded) })
  )

export const ofSuccess = (definition: Definition, value: unknown): Effect.Effect<Answer> =>
  written("success", schemasOf(definition).success, value)

export const ofFailure = (definition: Definition, error: unknown): Effect.Effect<Answer> =>
  written("failure", schemasOf(definition).failure, error)

/** The success or the failure that was stored. */
export const read = <A, E>(
  definition: Definition,
  { body, outcome }: Answer
): Effect.Effect<Either.Either<A, E>, unknown> => {
  const { failure, success } = schemasOf(definition)
  const schema = outcome === "success" ? success : failure
  return Effect.map(
    Effect.flatMap(
      body === "" ? Effect.succeed(undefined) : Schema.decode(Schema.parseJson())(body),
      Schema.decodeUnknown(schema)
    ),
    (value) => outcome === "success" ? Either.right(value) : Either.left(value)
  )
}
