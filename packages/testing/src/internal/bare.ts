import type * as Request from "@effect-cqrs/core/Request"

const bared = new WeakMap<object, unknown>()

/** A request's class as it is, but for its middleware. One for each class, so that two mocks of it are seen to be two. */
export const bare = <C extends Request.ClassOf<unknown>>(request: C): C => {
  const known = bared.get(request) as C | undefined
  if (known !== undefined) return known
  const made = new Proxy(request, {
    get: (target, name) => name === "middleware" ? [] : Reflect.get(target, name)
  })
  bared.set(request, made)
  return made
}
