/**
 * Where the ids of messages and requests come from.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import { uuidv7 } from "./internal/uuid.ts"

/**
 * Makes an id from the time in milliseconds. UUIDv7 (RFC 9562) unless replaced: unique everywhere, and in the order of
 * their making within one process. Ids are what consumers tell a redelivered message by: never make one twice.
 *
 * @since 0.1.0
 * @category tags
 */
export class IdGenerator extends Context.Reference<IdGenerator>()("@effect-cqrs/core/IdGenerator", {
  defaultValue: (): (millis: number) => string => uuidv7
}) {}
