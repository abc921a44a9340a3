/**
 * What is wrong with the handlers of a program, where the compiler could not see it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A defect, since it is the program that is wrong: it is thrown when layers are built, or by `Mediator.send`.
 *
 * - `ImplementedTwice`: two layers implement one request; the message says where each was made.
 * - `NameTaken`: two requests, two event classes, or two handlers of one event, have one name.
 * - `Missing`: there is no handler. Only a program whose requirements were cast away gets here.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandlerError extends Schema.TaggedError<HandlerError>("@effect-cqrs/core/HandlerError")("HandlerError", {
  reason: Schema.Literal("ImplementedTwice", "NameTaken", "Missing"),
  message: Schema.String
}) {}
