/**
 * Commands: requests that change something, have one handler, and answer with a success or a declared failure.
 *
 * @since 0.1.0
 */
import { makeRequest } from "./internal/request.ts"
import type * as Request from "./Request.ts"

/**
 * Declares a command. The class is a `Schema.TaggedRequest`; its constructor validates the payload and throws the
 * `ParseError` that `Schema` throws.
 *
 * Two requests of the same tag and the same fields are one type to TypeScript: where a tag is needed twice in a
 * program, define one of them in a `RequestGroup.namespace`.
 *
 * @example
 * ```ts
 * import { Command } from "@effect-cqrs/core"
 * import { Schema } from "effect"
 *
 * class MeetingFull extends Schema.TaggedError<MeetingFull>()("MeetingFull", { meetingId: Schema.String }) {}
 *
 * class JoinMeeting extends Command.make<JoinMeeting>()("JoinMeeting", {
 *   payload: { meetingId: Schema.String, userId: Schema.String },
 *   failure: MeetingFull
 * }) {}
 *
 * export const command = new JoinMeeting({ meetingId: "standup", userId: "ada" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Request.Make<"command", "Command.make", "", []> = makeRequest("command", "", [])
