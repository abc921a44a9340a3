/**
 * What a relay has to claim and to give back so that everybody has a fair share: with `n` relays and `b` buckets the
 * first `b mod n` relays, by id, have one more than the others. Everybody computes the same from the same rows.
 */
export const share = (
  me: bigint,
  living: ReadonlyArray<bigint>,
  owners: ReadonlyArray<{ readonly bucket: number; readonly relay: bigint | undefined }>
): { readonly claim: ReadonlyArray<number>; readonly give: ReadonlyArray<number> } => {
  const relays = [...living].sort((a, b) => a < b ? -1 : a > b ? 1 : 0)
  const place = relays.indexOf(me)
  if (place < 0) return { claim: [], give: [] }
  const size = Math.floor(owners.length / relays.length) + (place < owners.length % relays.length ? 1 : 0)
  const mine = owners.flatMap(({ bucket, relay }) => relay === me ? [bucket] : [])
  const free = owners.flatMap(({ bucket, relay }) => relay === undefined || !relays.includes(relay) ? [bucket] : [])
  return { claim: free.slice(0, Math.max(0, size - mine.length)), give: mine.slice(size) }
}
