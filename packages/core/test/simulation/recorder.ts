import type { Event } from "./history.ts"

type Untimed<E> = E extends unknown ? Omit<E, "at"> : never

/** Writes down what happens now. */
export type Recorder = (event: Untimed<Event>) => void
