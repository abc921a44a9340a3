import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import type { Sasl } from "../KafkaBroker.ts"
import type { Settings } from "./settings.ts"

/** A login as kafkajs takes it. */
export const saslOf = (sasl: Sasl, runtime: Runtime.Runtime<never>): Settings["sasl"] => {
  if (sasl.mechanism === "oauthbearer") {
    const { token } = sasl
    return {
      mechanism: "oauthbearer",
      oauthBearerProvider: () =>
        Runtime.runPromise(runtime)(Effect.map(token, (value) => ({ value: Redacted.value(value) })))
    }
  }
  const { mechanism, password, username } = sasl
  return { mechanism: mechanism as "plain", username, password: Redacted.value(password) }
}
