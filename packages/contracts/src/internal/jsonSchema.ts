import * as Either from "effect/Either"
import * as JSONSchema from "effect/JSONSchema"
import type * as Schema from "effect/Schema"
import { ContractError } from "../Contract.ts"

/** A JSON Schema as it is written: what it may hold is the business of who reads it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown
}

/** The parts that more than one module walks. */
export const definitionsOf = (schema: JsonSchema): Readonly<Record<string, JsonSchema>> =>
  (schema.$defs ?? {}) as Readonly<Record<string, JsonSchema>>

const refPrefix = "#/$defs/"

/** The definition that a `$ref` names, which is a JSON pointer: `#/$defs/@rooms~1Room` is `@rooms/Room`. */
export const referredTo = (reference: string): string | undefined =>
  reference.startsWith(refPrefix)
    ? reference.slice(refPrefix.length).replaceAll("~1", "/").replaceAll("~0", "~")
    : undefined

/**
 * What a schema's encoded side is in JSON, open for further properties, as it is read. Valid as draft-07, where `$ref`
 * has no siblings, and as 2020-12 but for tuples.
 */
export const jsonSchemaOf = (
  schema: Schema.Schema.All,
  what: string
): Either.Either<JsonSchema, ContractError> => {
  const definitions: Record<string, JSONSchema.JsonSchema7> = {}
  return Either.try({
    try: () => {
      const root = plain(JSONSchema.fromAST(schema.ast, {
        definitions,
        definitionPath: refPrefix,
        additionalPropertiesStrategy: "allow"
      })) as JsonSchema
      const names = Object.keys(definitions)
      return names.length === 0 ? root : { ...root, $defs: plain(definitions) }
    },
    catch: (thrown) =>
      new ContractError({
        reason: "NoJsonSchema",
        message: `${what} has no JSON Schema: ${
          placeOf(thrown)
        } annotate that part with \`jsonSchema\`, or encode it to plain JSON`
      })
  })
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const placeOf = (thrown: unknown): string => {
  const path = /at path: (.+)/.exec(thrown instanceof Error ? thrown.message : "")?.[1]
  return path === undefined ? "" : `at ${path},`
}

/** As it was made, less what says nothing, and with `$ref` by itself. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  // what Effect makes of a structure without fields, which is an object where it is written
  if ("$id" in value && value.$id === "/schemas/%7B%7D") return { type: "object" }
  const kept: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    if (isNoise(name, inner)) continue
    kept[name] = name === "enum" || name === "const" || name === "default" || name === "examples" ? inner : plain(inner)
  }
  const { $ref, ...rest } = kept
  // else it is a field of that name
  return typeof $ref !== "string" || Object.keys(rest).length === 0 ? kept : { allOf: [{ $ref }], ...rest }
}

const isNoise = (name: string, value: unknown): boolean =>
  (name === "$id" && typeof value === "string" && value.startsWith("/schemas/")) ||
  (name === "$comment" && typeof value === "string" && value.startsWith("/schemas/")) ||
  (name === "additionalProperties" && value === true) ||
  // a filter's own name, `maxLength(64)`
  (name === "title" && typeof value === "string" && /^\w+\(.*\)$/.test(value)) ||
  (name === "required" && Array.isArray(value) && value.length === 0) ||
  (name === "properties" && typeof value === "object" && value !== null && Object.keys(value).length === 0)
