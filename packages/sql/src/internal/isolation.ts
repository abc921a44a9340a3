import type { Isolation } from "@effect-cqrs/core/Transactor"

/** The isolation levels as the SQL standard spells them. */
export const isolations: Record<Isolation, string> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE"
}
