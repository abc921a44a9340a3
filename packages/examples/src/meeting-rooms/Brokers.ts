/** The broker of a run. */
import { Broker as Brokers } from "@effect-cqrs/core"
import type { Setting } from "./Setting.ts"

export const Broker = (_setting: Setting) => Brokers.layerMemory()
