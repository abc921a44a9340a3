import { Schedule } from "effect"
import { SimulatedBroker } from "./broker.ts"
import { Database, type Fence } from "./database.ts"
import type { Event, History, Terms } from "./history.ts"
import { Loop } from "./loop.ts"
import { type Ground, Machine, type Ports } from "./machine.ts"
import type { Recorder } from "./recorder.ts"
import { type Operation, places, type Schedule as Plan, skipping, type StepFault, type StepKind } from "./schedule.ts"

const lease = 3000
const beat = lease / 3
const backoff = 1000
const retries = 2
const grace = 2000
const maxDeaths = 2
const maxLoneFailures = 3

/** How long a process that died by itself is down. */
const down = 300

/** How long everything may take to recover, once faults have ceased. */
const patience = 200_000

const termsOf = ({ poll }: Plan): Terms => ({
  lease,
  beat,
  poll,
  // the trail of a horizon; and the time between two full scans, with what they cost here
  overlooked: { after: 2000, until: 11_000 },
  backoff,
  prompt: 1000,
  grace,
  tries: retries + 1,
  maxLoneFailures,
  maxDeaths,
  skipping
})

/** What is put in place of a part that works. */
export interface Mutation {
  readonly fence?: Fence
  readonly ports?: (ports: Ports) => Ports
}

/** Plays a schedule, lets everything recover, and answers what happened. */
export const simulate = (plan: Plan, mutation: Mutation = {}): History => {
  const events: Array<Event> = []
  const loop = new Loop(plan.seed, plan.isShuffled)
  const record: Recorder = (event) => void events.push({ ...event, at: loop.now } as Event)
  const database = new Database(() => loop.now, record, mutation.fence ?? "locked")
  const broker = new SimulatedBroker(loop, record)
  const machines: Array<Machine> = []
  const slots: Array<Machine> = []
  let armed: Array<{ readonly slot: number; readonly kind: StepKind; skip: number; readonly fault: StepFault }> = []

  const ground: Ground = {
    loop,
    database,
    broker,
    record,
    plan,
    lease,
    beat,
    options: {
      lanes: plan.lanes,
      batchSize: plan.batchSize,
      pollInterval: plan.poll,
      maxDeaths,
      maxLoneFailures,
      grace,
      retry: Schedule.intersect(Schedule.spaced("300 millis"), Schedule.recurs(retries)),
      backoff: Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced(backoff)),
      topics: Object.fromEntries(skipping.map((topic) => [topic, { exhausted: "skip" }])),
      retention: plan.isKept ? "2 seconds" : undefined
    },
    change: mutation.ports ?? ((ports) => ports),
    died: ({ slot }) => void loop.after(down, () => start(slot)),
    meets: (slot, kind) => {
      const found = armed.find((one) => one.slot === slot && one.kind === kind)
      if (found === undefined) return undefined
      if (found.skip-- > 0) return undefined
      armed = armed.filter((one) => one !== found)
      return found.fault
    }
  }

  const start = (slot: number): void => {
    if (slots[slot]?.isAlive === true) return
    const machine = new Machine(ground, machines.length, slot)
    machines.push(machine)
    slots[slot] = machine
    machine.start()
  }

  const outage = (kind: "outage" | "hang", millis: number) =>
    record({ _tag: "Fault", kind, process: undefined, until: loop.now + millis })

  const apply = (operation: Operation): void => {
    switch (operation._tag) {
      case "pass":
        return loop.advance(operation.millis)
      case "write": {
        const slot = operation.slot === undefined ? undefined : operation.slot % plan.relays
        const transaction = database.open(operation.events.map(({ nature, place }) => ({ ...places[place]!, nature })))
        transaction.opened.forEach(({ nature, sequence }) => broker.natures.set(sequence, nature))
        loop.after(operation.millis, () => {
          if (operation.rollsBack) return transaction.rollback()
          const machine = slot === undefined ? undefined : slots[slot]
          const wakes = machine?.process.state === "running" ? machine : undefined
          transaction.commit(wakes?.id)
          wakes?.signal(transaction.opened.map(({ bucket }) => bucket))
        })
        return
      }
      case "step":
        return void armed.push({ ...operation, slot: operation.slot % plan.relays })
      case "kill": {
        const slot = operation.slot % plan.relays
        if (!slots[slot]!.isAlive) return
        slots[slot]!.kill(operation.arrives)
        return void loop.after(operation.down, () => start(slot))
      }
      case "freeze": {
        const machine = slots[operation.slot % plan.relays]!
        return machine.process.state === "running" ? machine.freeze(operation.millis) : undefined
      }
      case "restart": {
        const machine = slots[operation.slot % plan.relays]!
        if (!machine.isRunning) return
        machine.stop()
        return start(machine.slot)
      }
      case "broker": {
        outage(operation.state === "hangs" ? "hang" : "outage", operation.millis)
        broker.state = operation.state
        return void loop.after(operation.millis, () => broker.state = "well")
      }
      case "outage": {
        const { key, topic } = places[operation.place]!
        outage("outage", operation.millis)
        return void broker.out.set(operation.of === "key" ? `${topic}/${key}` : topic, loop.now + operation.millis)
      }
      case "redrive":
      case "discard": {
        const { dead } = database
        const sequence = dead[operation.nth % Math.max(1, dead.length)]
        if (sequence === undefined) return
        if (operation._tag === "discard") database.discard(sequence)
        else {
          if (operation.healed) broker.heal(sequence)
          database.redrive(sequence, operation.healed)
        }
        if (operation.slot !== undefined) slots[operation.slot % plan.relays]!.signalAll()
      }
    }
  }

  const cease = (): void => {
    armed = []
    broker.healAll()
    for (const machine of machines) machine.process.thaw()
    for (let slot = 0; slot < plan.relays; slot++) start(slot)
    record({ _tag: "Ceased" })
  }

  /** Until nothing is pending and nothing is dead: what has died by then is discarded. */
  const recover = (): void => {
    const limit = loop.now + patience
    loop.advance(lease)
    while (loop.now < limit) {
      if (!database.isWriting && database.pending.length === 0) {
        if (database.dead.length === 0) break
        for (const sequence of database.dead) database.discard(sequence)
        for (const machine of slots) machine.signalAll()
      }
      loop.advance(500)
    }
    record({ _tag: "Ended", pending: database.pending })
  }

  for (let slot = 0; slot < plan.relays; slot++) start(slot)
  loop.advance(50)
  for (const operation of plan.steps) {
    apply(operation)
    loop.advance(1)
  }
  // what was arranged for the next steps may happen still
  loop.advance(300)
  cease()
  recover()
  for (const machine of machines) machine.dispose()
  loop.advance(60_000)
  return { terms: termsOf(plan), events }
}
