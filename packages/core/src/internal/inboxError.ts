import * as Schema from "effect/Schema"

/**
 * - `Suspected`: the process died again and again while this handler had this message. It was not run, and nothing of
 *   it is stored. `forget` of the inbox's storage gives it another chance.
 *
 * @since 0.1.0
 * @category errors
 */
export class InboxError extends Schema.TaggedError<InboxError>("@effect-cqrs/core/InboxError")("InboxError", {
  reason: Schema.Literal("Suspected"),
  message: Schema.String
}) {}
