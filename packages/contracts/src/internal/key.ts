import * as Either from "effect/Either"

interface Keyed {
  readonly fields: object
  readonly partitionKey: (event: any) => string | undefined
}

/**
 * A partition key in terms of fields, found by asking for it with stand-ins that say their own names: `{roomId}`,
 * `{tenant}/{roomId}`. `null`: there is none; `undefined`: what comes out shows no field, or it cannot be done with
 * stand-ins.
 */
export const keyOf = ({ fields, partitionKey }: Keyed): string | null | undefined => {
  const event = new Proxy({}, {
    get: (_, name) => typeof name === "string" && Object.hasOwn(fields, name) ? standIn(name) : undefined
  })
  return Either.match(Either.try(() => partitionKey(event)), {
    onLeft: () => undefined,
    onRight: (key) => {
      if (key === undefined) return null
      const text = Either.getOrUndefined(Either.try(() => String(key)))
      return text !== undefined && /\{[^{}]+\}/.test(text) ? text : undefined
    }
  })
}

/** What is asked of it is a stand-in, too; as text it is how it was reached. */
const standIn = (path: string): unknown =>
  new Proxy(() => undefined, {
    get: (_, name) => {
      if (name === Symbol.toPrimitive || name === "toString" || name === "toJSON") return () => `{${path}}`
      return typeof name === "string" ? standIn(`${path}.${name}`) : undefined
    },
    apply: () => standIn(`${path}()`)
  })
