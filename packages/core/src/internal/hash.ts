const encoder = new TextEncoder()

/** FNV-1a (32 bits) over UTF-8, with the finalizer of MurmurHash3; unsigned. */
export const hashOf = (text: string, basis = 0x811c9dc5): number => {
  const bytes = encoder.encode(text)
  let hash = basis
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  return hash >>> 0
}
