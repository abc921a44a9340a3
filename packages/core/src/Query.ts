/**
 * Queries: requests that read, have one handler, and answer with a success or a declared failure.
 *
 * @since 0.1.0
 */
import { makeRequest } from "./internal/request.ts"
import type * as Request from "./Request.ts"

/**
 * Declares a query. As `Command.make`, but its handler cannot ask for a `Transaction`: a query does not write.
 *
 * @example
 * ```ts
 * import { Query } from "@effect-cqrs/core"
 * import { Schema } from "effect"
 *
 * class ReadMeeting extends Query.make<ReadMeeting>()("ReadMeeting", {
 *   payload: { meetingId: Schema.String },
 *   success: Schema.Struct({ link: Schema.String })
 * }) {}
 *
 * export const query = new ReadMeeting({ meetingId: "standup" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Request.Make<"query", "Query.make", "", []> = makeRequest("query", "", [])
