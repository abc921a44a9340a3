import type { Holding, Suspicion } from "@effect-cqrs/core/BucketOwner"
import { share } from "./share.ts"

/** A bucket, who owns it, and what speaks against it. */
export interface Lease {
  readonly bucket: number
  readonly relay: bigint | undefined
  readonly deaths: number
  /** The entry to blame for a death, and for how many it was blamed. */
  readonly suspect: { readonly sequence: bigint; readonly deaths: number } | undefined
}

/** What one relay has in hand. */
export interface Hand {
  readonly leases: ReadonlyArray<Lease>
  readonly surplus: ReadonlyArray<number>
}

export const emptyHand: Hand = { leases: [], surplus: [] }

/** What a relay has, and what it may claim besides. */
export const handOf = (
  me: bigint,
  living: ReadonlyArray<bigint>,
  leases: ReadonlyArray<Lease>
): { readonly hand: Hand; readonly claim: ReadonlyArray<number> } => {
  const { claim, give } = share(me, living, leases)
  return { hand: { leases: leases.filter(({ relay }) => relay === me), surplus: give }, claim }
}

export const without = (hand: Hand, given: ReadonlyArray<number>): Hand => {
  const gone = new Set(given)
  return {
    leases: hand.leases.filter(({ bucket }) => !gone.has(bucket)),
    surplus: hand.surplus.filter((bucket) => !gone.has(bucket))
  }
}

export const holdingOf = (hand: Hand, lease: Pick<Holding, "token" | "trustedUntil">): Holding => ({
  ...lease,
  buckets: hand.leases.map(({ bucket }) => bucket),
  surplus: hand.surplus,
  suspicions: suspicionsOf(hand.leases)
})

export const suspicionsOf = (leases: ReadonlyArray<Lease>): ReadonlyMap<number, Suspicion> =>
  new Map(
    leases.flatMap(({ bucket, deaths, suspect }) =>
      deaths === 0 ? [] : [[bucket, suspicionOf(deaths, suspect)] as const]
    )
  )

/** Whether a relay would see no difference. */
export const isSameHand = (one: Hand, other: Hand): boolean =>
  one.leases.length === other.leases.length && one.surplus.length === other.surplus.length &&
  one.leases.every((lease, n) =>
    lease.bucket === other.leases[n]!.bucket && lease.deaths === other.leases[n]!.deaths
  ) &&
  one.surplus.every((bucket, n) => bucket === other.surplus[n])

/** An entry that was noted after the last death is not to blame for it. */
const suspicionOf = (deaths: number, suspect: Lease["suspect"]): Suspicion => ({
  deaths,
  suspect: suspect === undefined || suspect.deaths === 0 ? undefined : suspect
})
