import { unsafeCoerce } from "effect/Function"
import * as Schema from "effect/Schema"
import type * as Middleware from "../Middleware.ts"
import * as Request from "../Request.ts"
import { fastClass } from "./fastClass.ts"

/** What the run time knows of a request's class, behind its typed statics. */
export interface Definition extends Request.AnyClass {
  readonly kind: "command" | "query"
  readonly handlerKey: string
  readonly middleware: ReadonlyArray<Middleware.Any>
}

export const makeRequest = <
  K extends "command" | "query",
  Usage extends string,
  const Prefix extends string,
  GM extends ReadonlyArray<Middleware.Any>
>(
  kind: K,
  prefix: Prefix,
  groupMiddleware: GM
): Request.Make<K, Usage, Prefix, GM> =>
  unsafeCoerce(() => (tag: string, options: Request.Options<any, any, any, any> = {}) => {
    const middleware: ReadonlyArray<Middleware.Any> = [...groupMiddleware, ...(options.middleware ?? [])]
    const declared = options.failure ?? Schema.Never
    const id = `${prefix}${tag}`
    const klass = fastClass(
      unsafeCoerce<unknown, Definition>(
        Schema.TaggedRequest<object>(id)(tag, {
          payload: options.payload ?? {},
          success: options.success ?? Schema.Void,
          failure: middleware.length === 0 ? declared : Schema.Union(declared, ...middleware.map((m) => m.failure))
        })
      )
    )
    const statics = { id, kind, middleware, handlerKey: `@effect-cqrs/core/Handler/${id}` }
    Object.defineProperty(klass.prototype, Request.TypeId, { value: statics })
    return Object.assign(klass, statics)
  })
