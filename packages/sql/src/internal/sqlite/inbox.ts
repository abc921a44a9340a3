import type { Dialect } from "../dialect.ts"
import { now } from "./text.ts"

export const inbox: Dialect["inbox"] = {
  register: (names, { consumer, handler, messageId, source }) => [
    `insert into ${names.inbox} (consumer, handler, source, message_id, handled_at) values (?, ?, ?, ?, ${now}) ` +
    "on conflict do nothing",
    [consumer, handler, source, messageId]
  ],
  isDuplicate: () => false
}
