import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Wrap } from "../Middleware.ts"

/** What every call of the program is wrapped in: one object per build, which each `Middleware.layerGlobal` adds to. */
export interface Global {
  wraps: ReadonlyArray<Wrap<any, any>>
}

export const globalTag = Context.GenericTag<Global>("@effect-cqrs/core/Middleware/Global")

/** One value, so that one build of layers makes one object of it. */
export const globalLayer = Layer.sync(globalTag, (): Global => ({ wraps: [] }))

export const globalOf = (context: Context.Context<never>): ReadonlyArray<Wrap<any, any>> => {
  const global: Global | undefined = context.unsafeMap.get(globalTag.key)
  return global === undefined ? none : global.wraps
}

const none: ReadonlyArray<Wrap<any, any>> = []
