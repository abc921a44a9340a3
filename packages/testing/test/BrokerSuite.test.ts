import { Broker } from "@effect-cqrs/core"
import { BrokerSuite, Suite } from "@effect-cqrs/testing"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"

BrokerSuite.suite("memory", {
  describe,
  it,
  layer: () => Broker.layerMemory(),
  topic: Effect.succeed,
  ordered: true,
  countsRedeliveries: true,
  capacity: (_name, capacity) => Broker.layerMemory({ capacity }),
  restart: Suite.unsupported("it forgets everything with the process"),
  network: Suite.unsupported("it has no connections"),
  destination: Suite.unsupported("its topics are always there"),
  foreign: Suite.unsupported("no other program gets at it"),
  tombstones: Suite.unsupported("its messages have a payload"),
  window: Suite.unsupported("it holds all messages itself"),
  refused: Suite.unsupported("it takes every message"),
  largestPayload: 1024 * 1024,
  quiet: "30 millis"
})
