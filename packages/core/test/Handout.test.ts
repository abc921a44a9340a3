import { Broker, Handout } from "@effect-cqrs/core"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Fiber, Scope } from "effect"
import { message, settled } from "./fixtures.ts"

const itemOf = (id: string, lane?: string, given: Partial<Handout.Item> & { readonly redeliveries?: number } = {}) => ({
  deliver: () => ({
    message: message({ id, key: lane }),
    unreadable: undefined,
    isTombstone: false,
    redeliveries: given.redeliveries ?? 0,
    forward: () => Effect.dieMessage("not forwarded")
  }),
  lane,
  origin: given.origin ?? "origin",
  onSettled: given.onSettled ?? (() => {})
})

/** Takes some, whose scope stays open. */
const hold = (source: Effect.Effect.Success<Handout.Handout["join"]>, limit = 1) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const deliveries = yield* Scope.extend(source.takeMany(limit), scope)
    return {
      ids: deliveries.map(({ message }) => message.id),
      redeliveries: deliveries.map(({ redeliveries }) => redeliveries),
      settle: Scope.close(scope, Exit.void),
      fail: Scope.close(scope, Exit.fail("no"))
    }
  })

describe("Handout", () => {
  it.scoped("a lane has one taker at a time, and what has no lane waits for nobody", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      for (const item of [itemOf("a1", "a"), itemOf("a2", "a"), itemOf("b1", "b"), itemOf("x"), itemOf("y")]) {
        handout.offer(item)
      }
      const taken = yield* Effect.forEach([1, 2, 3, 4], () => hold(source))
      assert.deepStrictEqual(taken.flatMap(({ ids }) => ids), ["a1", "b1", "x", "y"])
      const waiting = yield* Effect.fork(hold(source))
      yield* settled
      assert.isNull(waiting.unsafePoll())
      yield* taken[0]!.settle
      assert.deepStrictEqual((yield* Fiber.join(waiting)).ids, ["a2"])
      assert.strictEqual(handout.size(), 4)
    }))

  it.scoped("each says where it came from, however often it is handed out", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      const origins = [{ partition: 0 }, { partition: 1 }]
      for (const origin of origins) handout.offer(itemOf("1", undefined, { origin }))
      for (let round = 0; round < 2; round++) {
        const taken = Effect.flatMap(source.takeMany(2), (deliveries) => Effect.fail(deliveries))
        const deliveries = yield* Effect.flip(Effect.scoped(taken))
        assert.deepStrictEqual((deliveries as ReadonlyArray<Broker.Held>).map(({ origin }) => origin), origins)
      }
    }))

  it.scoped("what cannot be read kills its taker, and is handed out again, with those behind it", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      let fails = true
      const item = itemOf("1", "a")
      const deliver = () => {
        if (fails) throw new Error("cannot be read")
        return item.deliver()
      }
      handout.offer({ ...item, deliver })
      handout.offer(itemOf("2", "a"))
      const exit = yield* Effect.exit(Effect.scoped(source.takeMany(5)))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      fails = false
      const again = yield* hold(source, 5)
      assert.deepStrictEqual([again.ids, again.redeliveries], [["1", "2"], [1, 1]])
    }))

  it.scoped("several are settled or given back together, and count a redelivery each", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      const done: Array<string> = []
      for (const id of ["1", "2", "3", "4"]) {
        handout.offer(itemOf(id, "a", { redeliveries: 2, onSettled: () => done.push(id) }))
      }
      const first = yield* hold(source, 3)
      assert.deepStrictEqual([first.ids, first.redeliveries], [["1", "2", "3"], [2, 2, 2]])
      yield* first.fail
      const again = yield* hold(source, 10)
      assert.deepStrictEqual([again.ids, again.redeliveries], [["1", "2", "3", "4"], [3, 3, 3, 2]])
      assert.deepStrictEqual(done, [])
      yield* again.settle
      yield* again.settle
      assert.deepStrictEqual(done, ["1", "2", "3", "4"])
      assert.strictEqual(handout.size(), 0)
    }))

  it.scoped("what is withdrawn is nobody's to settle, and its lane goes on with the rest when its taker has ended", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      const done: Array<string> = []
      const offer = (id: string, origin: string) =>
        handout.offer(itemOf(id, "a", { origin, onSettled: () => done.push(id) }))
      offer("1", "old")
      offer("2", "old")
      const out = yield* hold(source)
      handout.withdraw("old")
      assert.strictEqual(handout.size(), 0)
      offer("1 again", "new")
      const waiting = yield* Effect.fork(hold(source))
      yield* settled
      assert.isNull(waiting.unsafePoll(), "the old one is still being handled")
      yield* out.settle
      assert.deepStrictEqual((yield* Fiber.join(waiting)).ids, ["1 again"])
      assert.deepStrictEqual(done, [])
    }))

  it("what is settled while others of its lane are out is not withdrawn once more", () => {
    const handout = Handout.make()
    for (const id of ["1", "2"]) handout.offer(itemOf(id, "a"))
    const [one, two] = handout.takeAll()
    one!.end("settled")
    handout.withdraw("origin")
    assert.strictEqual(handout.size(), 0)
    two!.end("settled")
    assert.strictEqual(handout.size(), 0)
  })

  it.scoped("an interrupted wait loses nothing, whoever else waits", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      let handled: ReadonlyArray<string> = []
      const handle = Effect.scoped(Effect.map(source.take, ({ message }) => {
        handled = [...handled, message.id]
      }))
      for (let round = 0; round < 20; round++) {
        const takers = yield* Effect.forEach([1, 2], () => Effect.fork(handle))
        yield* settled
        handout.offer(itemOf(`${round}`, "a"))
        for (let i = 0; i < round % 5; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(takers[round % 2]!)
        yield* settled
        assert.strictEqual(handled.at(-1), `${round}`)
        yield* Fiber.interruptAll(takers)
      }
      assert.strictEqual(handled.length, 20)
    }))

  it.scoped("a member that leaves gives back what it has out, and what it does with it then means nothing", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const leaving = yield* Scope.make()
      const source = yield* Scope.extend(handout.join, leaving)
      const other = yield* handout.join
      let count = 0
      handout.offer(itemOf("1", "a", { onSettled: () => count += 1 }))
      const held = yield* hold(source)
      yield* Scope.close(leaving, Exit.void)
      const again = yield* hold(other)
      assert.deepStrictEqual([again.ids, again.redeliveries], [["1"], [1]])
      yield* held.settle
      assert.strictEqual(count, 0)
      yield* again.settle
      assert.strictEqual(count, 1)
    }))

  it.scoped("while it is held nothing is handed out, and what is out can be settled or given back", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      const source = yield* handout.join
      for (const id of ["a1", "a2"]) handout.offer(itemOf(id, "a"))
      handout.offer(itemOf("b1", "b"))
      const [a, b] = [yield* hold(source), yield* hold(source)]
      assert.deepStrictEqual([a.ids, b.ids, handout.out()], [["a1"], ["b1"], 2])
      handout.hold(true)
      const waiting = yield* Effect.fork(hold(source, 10))
      yield* a.settle
      yield* b.fail
      handout.offer(itemOf("c1", "c"))
      yield* settled
      assert.isNull(waiting.unsafePoll())
      assert.deepStrictEqual([handout.out(), handout.size(), handout.takeAll()], [0, 3, []])
      handout.hold(false)
      assert.sameMembers([...(yield* Fiber.join(waiting)).ids], ["a2", "b1", "c1"])
      assert.strictEqual(handout.out(), 3)
    }))

  it.scoped("what was withdrawn is out until its taker has ended", () =>
    Effect.gen(function*() {
      const handout = Handout.make()
      handout.offer(itemOf("1", "a"))
      const held = yield* hold(yield* handout.join)
      handout.withdraw("origin")
      assert.deepStrictEqual([handout.out(), handout.size()], [1, 0])
      yield* held.settle
      assert.deepStrictEqual([handout.out(), handout.size()], [0, 0])
    }))

  it("takeAll takes what is not out, and what it keeps is as it was", () => {
    const handout = Handout.make()
    for (const id of ["1", "2", "3"]) handout.offer(itemOf(id, "a"))
    const [one, two, three] = handout.takeAll()
    assert.deepStrictEqual(handout.takeAll(), [])
    one!.end("kept")
    two!.end("settled")
    two!.end("failed")
    assert.deepStrictEqual(handout.takeAll(), [], "one of the lane is out")
    three!.end("failed")
    assert.deepStrictEqual(
      handout.takeAll().map(({ delivery }) => [delivery.message.id, delivery.redeliveries]),
      [["1", 0], ["3", 1]]
    )
    assert.strictEqual(handout.size(), 2)
  })

  const operations = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant("offer" as const), lane: fc.nat(3), origin: fc.nat(2) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant("take" as const),
          member: fc.nat(2),
          limit: fc.integer({ min: 1, max: 5 })
        })
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("takeAll" as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant("end" as const),
          which: fc.nat(),
          how: fc.constantFrom("settled" as const, "failed" as const)
        })
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("withdraw" as const), origin: fc.nat(2) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), member: fc.nat(2) }) }
    ),
    { maxLength: 120 }
  )

  it.effect.prop(
    "whatever several members do: each lane in order and with one taker, nothing lost, nothing twice",
    [operations],
    ([operations]) =>
      Effect.gen(function*() {
        const handout = Handout.make()
        const join = () =>
          Effect.gen(function*() {
            const scope = yield* Scope.make()
            return { scope, source: yield* Scope.extend(handout.join, scope) }
          })
        const members = yield* Effect.forEach([0, 1, 2], join)
        /** What is neither settled nor withdrawn, in order; `out` where it is in a taker's hands. */
        let model: Array<{ id: string; lane: string | undefined; origin: number; out: number | undefined }> = []
        const settlements: Array<string> = []
        /** Takers whose hands are not empty; what was withdrawn meanwhile blocks its lane, too. */
        const takers = new Map<number, {
          readonly member: number | undefined
          readonly ids: ReadonlyArray<string>
          readonly lanes: ReadonlySet<string>
          readonly end: (how: "settled" | "failed") => Effect.Effect<void>
        }>()
        let count = 0

        const isBlocked = (lane: string | undefined) =>
          lane !== undefined && [...takers.values()].some(({ lanes }) => lanes.has(lane))
        const free = () => model.filter((one) => one.out === undefined && !isBlocked(one.lane))
        const lanesOf = (ids: ReadonlyArray<string>) =>
          new Set(ids.flatMap((id) => model.find((one) => one.id === id)!.lane ?? []))
        /** Of each lane the first ones, of those that are not out. */
        const assertTaken = (ids: ReadonlyArray<string>) => {
          const candidates = free()
          for (const id of ids) {
            const one = candidates.find((one) => one.id === id)
            assert.isDefined(one, `${id} was there to be taken`)
            if (one!.lane === undefined) continue
            const ofLane = candidates.filter(({ lane }) => lane === one!.lane)
            const taken = ids.filter((id) => ofLane.some((other) => other.id === id))
            assert.deepStrictEqual(taken, ofLane.slice(0, taken.length).map(({ id }) => id))
          }
        }
        const took = (
          ids: ReadonlyArray<string>,
          member: number | undefined,
          end: (how: "settled" | "failed") => Effect.Effect<void>
        ) => {
          const taker = ++count
          takers.set(taker, { member, ids, lanes: lanesOf(ids), end })
          for (const one of model) if (ids.includes(one.id)) one.out = taker
        }
        const ended = (taker: number, how: "settled" | "failed") => {
          if (how === "settled") model = model.filter(({ out }) => out !== taker)
          for (const one of model) if (one.out === taker) one.out = undefined
          takers.delete(taker)
        }

        for (const operation of operations) {
          if (operation.do === "offer") {
            const id = `${++count}`
            const lane = operation.lane === 0 ? undefined : `lane ${operation.lane}`
            model.push({ id, lane, origin: operation.origin, out: undefined })
            handout.offer(itemOf(id, lane, { origin: operation.origin, onSettled: () => settlements.push(id) }))
          } else if (operation.do === "take") {
            const there = free().length
            const fiber = yield* Effect.fork(hold(members[operation.member]!.source, operation.limit))
            yield* Effect.yieldNow()
            if (there === 0) {
              yield* Fiber.interrupt(fiber)
              continue
            }
            const held = yield* Fiber.join(fiber)
            assert.strictEqual(held.ids.length, Math.min(there, operation.limit))
            assertTaken(held.ids)
            took(held.ids, operation.member, (how) => how === "settled" ? held.settle : held.fail)
          } else if (operation.do === "takeAll") {
            const taken = handout.takeAll()
            const ids = taken.map(({ delivery }) => delivery.message.id)
            assert.sameMembers([...ids], free().map(({ id }) => id))
            assertTaken(ids)
            if (ids.length > 0) {
              took(ids, undefined, (how) => Effect.sync(() => taken.forEach(({ end }) => end(how))))
            }
          } else if (operation.do === "end") {
            const open = [...takers]
            if (open.length === 0) continue
            const [taker, { end, ids }] = open[operation.which % open.length]!
            const before = settlements.length
            const expected = operation.how === "settled"
              ? ids.filter((id) => model.some((one) => one.id === id))
              : []
            yield* end(operation.how)
            assert.deepStrictEqual(settlements.slice(before), expected)
            ended(taker, operation.how)
          } else if (operation.do === "withdraw") {
            model = model.filter(({ origin }) => origin !== operation.origin)
            handout.withdraw(operation.origin)
          } else {
            yield* Scope.close(members[operation.member]!.scope, Exit.void)
            members[operation.member] = yield* join()
            for (const [taker, { member }] of [...takers]) if (member === operation.member) ended(taker, "failed")
          }
          assert.strictEqual(handout.size(), model.length)
        }
        // what is left comes in order, and nothing else does
        for (const [taker, { end }] of [...takers]) {
          yield* end("failed")
          ended(taker, "failed")
        }
        const rest = handout.takeAll()
        const ids = rest.map(({ delivery }) => delivery.message.id)
        assert.sameMembers(ids, model.map(({ id }) => id))
        assertTaken(ids)
        for (const { end } of rest) end("settled")
        assert.strictEqual(handout.size(), 0)
        assert.strictEqual(new Set(settlements).size, settlements.length, "none is settled twice")
      }),
    { fastCheck: { numRuns: 200 } }
  )
})

const subscription = { topics: ["rooms"], group: "g" }

describe("messages that are taken together", () => {
  it.scoped("are settled one by one where that is asked for; the rest is handed out again, in order", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const source = yield* broker.consume(subscription)
      yield* broker.publish(["1", "2", "3"].map((id) => message({ id })))
      const first = yield* Scope.make()
      const held = yield* Scope.extend(source.takeMany(3), first)
      yield* held[0]!.settle
      yield* held[0]!.settle
      yield* Scope.close(first, Exit.fail("interrupted in the middle"))
      const again = yield* Effect.scoped(source.takeMany(3))
      assert.deepStrictEqual(again.map((one) => [one.message.id, one.redeliveries]), [["2", 1], ["3", 1]])
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("keep the others of their key out, however often one of them is settled", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const source = yield* broker.consume(subscription)
      yield* broker.publish(["1", "2", "3"].map((id) => message({ id })))
      const scope = yield* Scope.make()
      const [first] = yield* Scope.extend(source.takeMany(2), scope)
      yield* first!.settle
      yield* first!.settle
      const next = yield* Effect.fork(Effect.scoped(source.take))
      yield* settled
      assert.isNull(next.unsafePoll())
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(next)).message.id, "3")
    }).pipe(Effect.provide(Broker.layerMemory())))

  it.scoped("can be settled by their taker only, while they are out", () =>
    Effect.gen(function*() {
      const broker = yield* Broker.Broker
      const source = yield* broker.consume(subscription)
      yield* broker.publish([message({ id: "1" })])
      const first = yield* Scope.make()
      const [late] = yield* Scope.extend(source.takeMany(1), first)
      yield* Scope.close(first, Exit.fail("given back"))
      const second = yield* Scope.make()
      yield* Scope.extend(source.takeMany(1), second)
      yield* late!.settle
      yield* Scope.close(second, Exit.fail("given back"))
      const [third] = yield* Effect.scoped(source.takeMany(1))
      assert.strictEqual(third!.redeliveries, 2)
    }).pipe(Effect.provide(Broker.layerMemory())))
})
