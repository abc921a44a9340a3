/**
 * What the column `bucket` of the outbox says, with `n` buckets; the one secondary index begins with it.
 *
 * - `0` to `n - 1`: pending, in that bucket.
 * - `-1` to `-n`: beside the bucket `-1 - bucket`; a dead letter if `dead_at` is set, else to be tried again.
 * - `-1000000` and below: delivered and kept; minus the minutes from 1970 to its delivery.
 * - Anything else: changed by hand, and pending.
 *
 * So each kind of row is a range of the index, and costs the others nothing.
 */
export const latestKept = -1_000_000

/** The place beside a bucket, and back. */
export const beside = (bucket: number): number => -1 - bucket

export const isBeside = (buckets: number): string => `bucket between ${-buckets} and -1`

export const isKept = `bucket <= ${latestKept}`

/** Only these are settled: a dead letter or what is kept is not settled a second time. */
export const isPending = (buckets: number): string =>
  `bucket > ${latestKept} and (dead_at is null or not (${isBeside(buckets)}))`

export const isDead = (buckets: number): string => `${isBeside(buckets)} and dead_at is not null`

/** Where a pending row goes to wait. */
export const aside = (buckets: number): string =>
  `case when bucket between 0 and ${buckets - 1} then -1 - bucket when ${isBeside(buckets)} then bucket else -1 end`

/** Places that only a hand can have written, as ranges of the index. */
export const strangePlaces = (buckets: number): ReadonlyArray<string> => [
  `bucket >= ${buckets}`,
  `bucket > ${latestKept} and bucket < ${-buckets}`
]

/** The bucket that a row of this place belongs to. */
export const bucketAt = (place: number, buckets: number): number | undefined =>
  place >= 0 && place < buckets ? place : place < 0 && place >= -buckets ? beside(place) : undefined
