/**
 * Requests and events for property tests, beyond what their schemas give by themselves.
 *
 * `it.prop` and `it.effect.prop` take the classes as they are: `it.effect.prop("…", [JoinRoom], ([command]) => …)`. Ids made up from
 * a schema are hardly ever the same twice; where a property is about things that meet, choose some fields from few.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as FastCheck from "effect/FastCheck"
import type * as Schema from "effect/Schema"

/**
 * Instances of a class whose fields come from arbitraries of one's own where given, and from the schema where not.
 *
 * @example
 * ```ts
 * import { Command } from "@effect-cqrs/core"
 * import { Arbitraries } from "@effect-cqrs/testing"
 * import { FastCheck, Schema } from "effect"
 * import * as assert from "node:assert"
 *
 * class JoinRoom extends Command.make<JoinRoom>()("JoinRoom", {
 *   payload: { roomId: Schema.String, userId: Schema.String }
 * }) {}
 *
 * const joining = Arbitraries.make(JoinRoom, { roomId: FastCheck.constantFrom("blue", "red") })
 *
 * for (const { roomId } of FastCheck.sample(joining, 10)) assert.match(roomId, /^(blue|red)$/)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A extends object, Fields extends Schema.Struct.Fields>(
  schema: ClassOf<A, Fields>,
  fields: { readonly [K in Exclude<keyof Fields, "_tag">]?: FastCheck.Arbitrary<Schema.Schema.Type<Fields[K]>> }
): FastCheck.Arbitrary<A> =>
  FastCheck.tuple(Arbitrary.make(schema), FastCheck.record(fields as Record<string, FastCheck.Arbitrary<unknown>>)).map(
    ([instance, chosen]) => new schema({ ...instance, ...chosen })
  )

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** Of a request or an event, as `Schema` knows it. */
interface ClassOf<A, Fields extends Schema.Struct.Fields> extends Schema.Schema<A, any> {
  new(props: any): A
  readonly fields: Fields
}
