import type { Kit } from "./kit.ts"

export const deadLetterCases = <R>(_kit: Kit<R>): void => {}
