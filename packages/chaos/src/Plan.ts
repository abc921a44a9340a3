/** Which faults are done when: the same for the same seed. */
import { Effect, Random } from "effect"
import { factsOf, type Kind, names, targets } from "./Kinds.ts"

export interface Planned {
  /** From the beginning of the run, in milliseconds. */
  readonly at: number
  readonly kind: Kind
  readonly target: string
  readonly way: string
  /** In milliseconds. */
  readonly lasts: number
}

export interface Options {
  readonly seed: number
  readonly minutes: number
  /** Those that are done. All unless given. */
  readonly kinds?: ReadonlyArray<Kind> | undefined
}

/** Between two faults, in milliseconds. */
const gap = { least: 2_500, most: 7_500 }

/** Until all processes are at work. */
const warmUp = 5_000

/**
 * Each kind once in the first round, then as often as its weight says, in a new order each time. What has something done
 * to it is left alone by others until that is over, and a moment longer.
 */
export const plan = ({ kinds = names, minutes, seed }: Options): ReadonlyArray<Planned> =>
  Effect.runSync(Effect.withRandom(
    Effect.gen(function*() {
      const planned: Array<Planned> = []
      const busy = new Map<string, number>()
      const end = minutes * 60_000
      let deck = [...yield* Random.shuffle(kinds)]
      for (let at = warmUp; at < end; at += yield* Random.nextIntBetween(gap.least, gap.most)) {
        const isFree = (target: string) => (busy.get(target) ?? 0) <= at
        const place = deck.findIndex((kind) => targets(kind).some(isFree))
        if (place >= 0) {
          const [kind] = deck.splice(place, 1) as [Kind]
          const { lasts: [least, most], ways } = factsOf(kind)
          const target = yield* any(targets(kind).filter(isFree))
          const lasts = least === most ? least : yield* Random.nextIntBetween(least, most)
          planned.push({ at, kind, target, way: yield* any(ways), lasts })
          busy.set(target, at + lasts + rest)
        }
        if (deck.length === 0) deck = [...yield* Random.shuffle(kinds.flatMap((kind) => times(kind)))]
      }
      return planned
    }),
    Random.make(seed)
  ))

/** How long a target is left alone afterwards: a process that is killed starts anew meanwhile. */
const rest = 4_000

const any = <A>(some: ReadonlyArray<A>) => Effect.map(Random.nextIntBetween(0, some.length), (n) => some[n]!)

const times = (kind: Kind): ReadonlyArray<Kind> => Array.from({ length: factsOf(kind).weight }, () => kind)
