/**
 * What has to come of each key, and what came.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { WrongResult } from "../Run.ts"

/** What a consumer by hand makes of a body, with the same checks. */
export const decode = (body: Uint8Array): typeof Payload.Type => decodePayload(JSON.parse(decoder.decode(body)))

export class Seen {
  count = 0
  private readonly next = new Map<string, number>()
  private wrong: string | undefined

  /** `versions`: those of a key begin again after so many. */
  constructor(private readonly versions: number) {}

  note({ key, version }: { readonly key: string; readonly version: number }): void {
    const wanted = this.next.get(key) ?? 0
    if (version !== wanted) this.wrong ??= `of ${key} came ${version} where ${wanted} should have come`
    this.next.set(key, (version + 1) % this.versions)
    this.count += 1
  }

  check(count: number): Effect.Effect<void, WrongResult> {
    return this.wrong !== undefined
      ? Effect.fail(new WrongResult({ message: `Lost, repeated or out of order: ${this.wrong}` }))
      : this.count !== count
      ? Effect.fail(new WrongResult({ message: `${this.count} messages came of ${count}` }))
      : Effect.void
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const Payload = Schema.Struct({ version: Schema.Number, key: Schema.String, text: Schema.String })

const decodePayload = Schema.decodeUnknownSync(Payload)

const decoder = new TextDecoder()
