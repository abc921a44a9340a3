/**
 * What it costs to make a request and to see that it is valid.
 */
import * as Command from "@effect-cqrs/core/Command"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Schema from "effect/Schema"
import { Run, WrongResult } from "../Run.ts"
import type { Measurement } from "../Suite.ts"
import { calls } from "./Repeat.ts"

const payload = {
  room: Schema.NonEmptyString,
  seats: Schema.Int.pipe(Schema.positive()),
  from: Schema.Number,
  guests: Schema.Array(Schema.String),
  note: Schema.optional(Schema.String)
}

class Book extends Command.make<Book>()("Book", { payload }) {}

class Bare extends Schema.TaggedRequest<Bare>()("Book", {
  payload,
  success: Schema.Void,
  failure: Schema.Never
}) {}

const given = { room: "blue", seats: 4, from: 1_700_000_000_000, guests: ["ada", "grace"] }

export const construct: Measurement = {
  name: "construct",
  needs: [],
  rounds: { full: 15, quick: 5 },
  rows: [
    {
      id: "construct/schema",
      title: "make and validate a request of five fields, against Schema.TaggedRequest",
      unit: "µs",
      subject: { contender: "both", figure: "Command" },
      twin: { contender: "both", figure: "Schema.TaggedRequest" },
      target: { atMost: 1 / 3 }
    }
  ],
  contenders: Effect.gen(function*() {
    const { count } = yield* Run
    const [book, bare] = [new Book(given), new Bare(given)]
    if (!Equal.equals({ ...book }, { ...bare }) && JSON.stringify(book) !== JSON.stringify(bare)) {
      return yield* new WrongResult({ message: "The two requests are not the same" })
    }
    return {
      both: calls(count(200_000), {
        Command: () => new Book(given),
        "Schema.TaggedRequest": () => new Bare(given)
      })
    }
  })
}
