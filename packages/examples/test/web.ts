/** A client that knows nothing but HTTP. */
import { Effect, Option } from "effect"

export interface Answer {
  readonly status: number
  readonly type: string | undefined
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

/** Fails if there is no answer. */
export const ask = (
  url: string,
  method: string,
  path: string,
  given: { readonly body?: unknown; readonly key?: string | undefined } = {}
): Effect.Effect<Answer, unknown> =>
  Effect.tryPromise(async (signal) => {
    const response = await fetch(url + path, {
      method,
      signal,
      headers: {
        ...(given.body === undefined ? {} : { "content-type": "application/json" }),
        ...(given.key === undefined ? {} : { "idempotency-key": given.key })
      },
      ...(given.body === undefined ? {} : { body: JSON.stringify(given.body) })
    })
    const text = await response.text()
    const type = response.headers.get("content-type")?.split(";")[0]
    const told = ["idempotency-replayed", "retry-after", "connection"].flatMap((name) => {
      const value = response.headers.get(name)
      return value === null || value === "keep-alive" ? [] : [[name, value] as const]
    })
    return {
      status: response.status,
      type,
      body: text === "" ? undefined : type?.endsWith("json") === true ? JSON.parse(text) : text,
      headers: Object.fromEntries(told)
    }
  })

export const create = (url: string, roomId: string, capacity: number, key?: string) =>
  ask(url, "POST", "/rooms", { body: { roomId, capacity }, key })

export const join = (url: string, roomId: string, userId: string, key?: string) =>
  ask(url, "POST", `/rooms/${roomId}/members`, { body: { userId }, key })

/** As a client would: sends again, with the same key, what has no answer yet. Tells of each attempt. */
export const patiently = (
  attempt: Effect.Effect<Answer, unknown>,
  onAttempt: (answer: Answer | undefined) => void = () => {}
): Effect.Effect<Answer> =>
  Effect.option(attempt).pipe(
    Effect.map(Option.getOrUndefined),
    Effect.tap((answer) => Effect.sync(() => onAttempt(answer))),
    Effect.flatMap((answer) =>
      answer === undefined || answer.status >= 500 || answer.headers["retry-after"] !== undefined
        ? Effect.zipRight(Effect.sleep("50 millis"), patiently(attempt, onAttempt))
        : Effect.succeed(answer)
    )
  )
