import { definitionsOf, type JsonSchema, referredTo } from "./jsonSchema.ts"

export interface Components {
  /** Where the schema of each name is. */
  readonly refs: Readonly<Record<string, string>>
  readonly schemas: Readonly<Record<string, JsonSchema>>
}

/**
 * Schemas with definitions of their own as the components of one document. What several of them define alike stands there
 * once; what they define differently under one name has the schema's name before it.
 */
export const componentsOf = (schemas: Readonly<Record<string, JsonSchema>>): Components => {
  const forms = new Map<string, Set<string>>()
  for (const schema of Object.values(schemas)) {
    for (const [name, definition] of Object.entries(definitionsOf(schema))) {
      forms.set(name, new Set([...(forms.get(name) ?? []), JSON.stringify(definition)]))
    }
  }
  const components: Record<string, JsonSchema> = {}
  const refs: Record<string, string> = {}
  const ownNames = new Set(Object.keys(schemas).map(safe))
  for (const [owner, { $defs: _, ...schema }] of Object.entries(schemas)) {
    const componentOf = (name: string): string =>
      (forms.get(name)?.size ?? 0) > 1 || ownNames.has(safe(name)) ? `${safe(owner)}.${safe(name)}` : safe(name)
    const moved = (node: unknown): unknown => {
      if (Array.isArray(node)) return node.map(moved)
      if (typeof node !== "object" || node === null) return node
      return Object.fromEntries(
        Object.entries(node).map(([keyword, value]) => {
          const name = keyword === "$ref" && typeof value === "string" ? referredTo(value) : undefined
          return [keyword, name === undefined ? moved(value) : `#/components/schemas/${componentOf(name)}`]
        })
      )
    }
    for (const [name, definition] of Object.entries(definitionsOf(schemas[owner]!))) {
      components[componentOf(name)] = moved(definition) as JsonSchema
    }
    components[safe(owner)] = moved(schema) as JsonSchema
    refs[owner] = `#/components/schemas/${safe(owner)}`
  }
  return { refs, schemas: components }
}

const safe = (name: string): string => name.replace(/[^\w.-]+/g, "_")
