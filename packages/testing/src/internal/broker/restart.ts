import type { Kit } from "./kit.ts"

export const restartCases = <R>(_kit: Kit<R>): void => {}
