import { Command, Handler } from "@effect-cqrs/core"
import { Procedures } from "@effect-cqrs/platform"
import { RpcTest } from "@effect/rpc"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Option, Schema } from "effect"

class Full extends Schema.TaggedError<Full>()("Full", { seats: Schema.Number }) {}

class Join extends Command.make<Join>()("Join", { failure: Full }) {}

it.effect("a failure that is declared is told without the defect of what ended beside it", () =>
  Effect.gen(function*() {
    const { group, layer } = Procedures.make(Join)
    const failed = Effect.ensuring(
      Effect.fail(new Full({ seats: 2 })),
      Effect.die(new Error("the password is hunter2"))
    )
    const exit = yield* RpcTest.makeClient(group).pipe(
      Effect.flatMap((client) => Effect.exit(client.Join(new Join()))),
      Effect.provide(
        Layer.merge(
          Layer.provide(layer, Handler.layer(Join, () => failed)),
          Logger.remove(Logger.defaultLogger)
        )
      ),
      Effect.scoped
    )
    const cause = Option.getOrThrow(Exit.causeOption(exit))
    assert.deepInclude(Cause.squash(cause), { _tag: "Full", seats: 2 })
    assert.isFalse(Cause.isDie(cause))
  }))
