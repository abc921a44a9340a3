import type { BrokerError } from "@effect-cqrs/core/Broker"
import * as Effect from "effect/Effect"
import kafkajs from "kafkajs"
import { configuration } from "./topology.ts"

const types = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD
}

/** Kafka's number for it, if there is a codec: kafkajs has one for gzip alone, and a registry for the others. */
export const find = (name: keyof typeof types): Effect.Effect<number, BrokerError> => {
  const type = types[name]
  if (type === undefined) return Effect.fail(configuration(`There is no compression ${JSON.stringify(name)}`))
  if (type === kafkajs.CompressionTypes.None) return Effect.succeed(type)
  const codecs = kafkajs.CompressionCodecs as unknown as Record<number, (() => unknown) | undefined>
  return Effect.try({
    try: () => codecs[type]!(),
    catch: (error) =>
      configuration(`kafkajs has no codec for ${name}: put one into its CompressionCodecs, or choose gzip`, error)
  }).pipe(Effect.as(type))
}
