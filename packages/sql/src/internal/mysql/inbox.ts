import type { Dialect } from "../dialect.ts"
import { codeOf } from "../errors.ts"
import { now } from "./text.ts"

export const inbox: Dialect["inbox"] = {
  // neither INSERT IGNORE, which would cut what is too long, nor ON DUPLICATE KEY, which counts alike
  register: (names, { consumer, handler, messageId, source }) => [
    `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values (?, ?, ?, ?, ${now})`,
    [consumer, handler, source, messageId]
  ],
  isDuplicate: (error) => codeOf(error) === "ER_DUP_ENTRY"
}
