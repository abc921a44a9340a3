import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { StorageError } from "../../OutboxStorage.ts"
import type { Outage, Progress, Status } from "../../Relay.ts"
import type { Suspensions } from "./suspensions.ts"

interface Since {
  readonly since: number
  readonly reason: string
}

/** What there is to be told of a relay. */
export class Watch {
  state: Status["state"] = "manual"
  private lastStepAt: number | undefined
  private lastSettledAt: number | undefined
  private storage: Since | undefined

  get isStorageOut(): boolean {
    return this.storage !== undefined
  }

  readonly stepped = ({ dead, deferred, delivered }: Progress): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      this.lastStepAt = now
      this.storage = undefined
      if (dead + deferred + delivered > 0) this.lastSettledAt = now
    })

  readonly failed = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const error = Cause.squash(cause)
      this.storage = {
        since: this.storage?.since ?? now,
        reason: error instanceof StorageError ? error.message : "The storage died"
      }
    })

  status(
    { brokerOut, destinationsOut }: Suspensions,
    lease: { readonly buckets: number; readonly isTrusted: boolean }
  ): Status {
    return {
      state: this.state,
      buckets: lease.buckets,
      isLeased: lease.isTrusted,
      lastStepAt: this.lastStepAt === undefined ? undefined : DateTime.unsafeMake(this.lastStepAt),
      lastSettledAt: this.lastSettledAt === undefined ? undefined : DateTime.unsafeMake(this.lastSettledAt),
      storage: outageOf(this.storage),
      broker: outageOf(brokerOut),
      destinations: destinationsOut.map(([topic, out]) => ({ topic, ...outageOf(out)! }))
    }
  }
}

const outageOf = (out: Since | undefined): Outage | undefined =>
  out === undefined ? undefined : { since: DateTime.unsafeMake(out.since), reason: out.reason }
