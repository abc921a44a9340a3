import type { Step } from "../../Scenario.ts"

/** The name of the request or event. */
export const nameOfStep = (step: Step): string =>
  "~@effect-cqrs/core/Request" in step
    ? (step.constructor as unknown as { readonly id: string }).id
    : "~@effect-cqrs/core/Event" in step
    ? (step.constructor as unknown as { readonly eventName: string }).eventName
    : "an effect"
