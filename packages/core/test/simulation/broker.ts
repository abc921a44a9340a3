import { Broker, type Message } from "@effect-cqrs/core"
import { Effect } from "effect"
import type { Nature, Verdict } from "./history.ts"
import type { Loop } from "./loop.ts"
import type { Recorder } from "./recorder.ts"

/** The part of a broker that relays send to: what arrives is taken, or judged. */
export class SimulatedBroker {
  state: "well" | "out" | "hangs" = "well"
  /** Topics, and topics with a key, that take nothing. */
  readonly out = new Map<string, number>()
  readonly natures = new Map<bigint, Nature>()
  private publishes = 0

  constructor(private readonly loop: Loop, private readonly record: Recorder) {}

  nextPublish(): number {
    return ++this.publishes
  }

  nature(sequence: bigint): Nature {
    return this.natures.get(sequence) ?? { _tag: "well" }
  }

  heal(sequence: bigint): void {
    this.natures.set(sequence, { _tag: "well" })
  }

  /** What depends on the health of a destination is over. */
  healAll(): void {
    this.state = "well"
    this.out.clear()
    for (const [sequence, { _tag }] of this.natures) if (_tag === "lone" || _tag === "culprit") this.heal(sequence)
  }

  /** Whether a destination, or the part of it that a key belongs to, is out. */
  private isOut(name: string): boolean {
    return (this.out.get(name) ?? 0) > this.loop.now
  }

  /** Answers once the broker does, which may take until it hangs no more. */
  arrive(
    publish: number,
    batch: ReadonlyArray<Message.Message>,
    answer: (outcomes: ReadonlyArray<Broker.Outcome>) => void
  ): void {
    if (this.state === "hangs") this.loop.after(100, () => this.arrive(publish, batch, answer))
    else answer(this.take(publish, batch))
  }

  private take(publish: number, batch: ReadonlyArray<Message.Message>): ReadonlyArray<Broker.Outcome> {
    const spoilt = new Set(
      batch.flatMap(({ sequence, topic }) => this.nature(sequence!)._tag === "culprit" ? [topic] : [])
    )
    const failed = new Set<string>()
    return batch.map(({ key, sequence, topic }) => {
      const name = `${topic}/${key}`
      if (this.state === "out") return this.judge(publish, sequence!, "out", retriable("broker"))
      if (key !== undefined && failed.has(name)) return retriable("destination")
      const nature = this.nature(sequence!)
      const fail = (verdict: Verdict, outcome: Broker.Outcome) => {
        failed.add(name)
        return this.judge(publish, sequence!, verdict, outcome)
      }
      if (this.isOut(topic)) return fail("out", retriable("destination"))
      if (this.isOut(name)) return fail("out", retriable("part"))
      if (nature._tag === "lone" || nature._tag === "culprit") return fail("refused", retriable("destination"))
      if (spoilt.has(topic)) return fail("out", retriable("destination"))
      if (nature._tag === "rejected") {
        const times = nature.times - 1
        this.natures.set(sequence!, times === 0 ? { _tag: "well" } : { _tag: "rejected", times })
        return fail("rejected", Broker.Outcome.Rejected({ reason: "malformed" }))
      }
      return this.judge(publish, sequence!, "accepted", Broker.Outcome.Delivered())
    })
  }

  private judge(publish: number, sequence: bigint, verdict: Verdict, outcome: Broker.Outcome): Broker.Outcome {
    this.record({ _tag: "Arrived", publish, sequence, verdict })
    return outcome
  }
}

export const retriable = (scope: "broker" | "destination" | "part"): Broker.Outcome =>
  Broker.Outcome.Retriable({ scope, reason: "out" })

export const noConsumers = {
  consume: () => Effect.die("nobody consumes here"),
  sift: () => Effect.die("nobody consumes here")
}
