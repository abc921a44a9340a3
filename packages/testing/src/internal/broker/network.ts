import type { Kit } from "./kit.ts"

export const networkCases = <R>(_kit: Kit<R>): void => {}
