import type { Kit } from "./kit.ts"

export const relayCases = <R>(_kit: Kit<R>): void => {}
