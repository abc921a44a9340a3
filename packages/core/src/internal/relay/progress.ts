import type { Progress } from "../../Relay.ts"

export const nothing: Progress = { read: 0, delivered: 0, deferred: 0, dead: 0, retriable: 0 }

export const add = (a: Progress, b: Progress): Progress => ({
  read: a.read + b.read,
  delivered: a.delivered + b.delivered,
  deferred: a.deferred + b.deferred,
  dead: a.dead + b.dead,
  retriable: a.retriable + b.retriable
})
