/** Where commands come from: lines of JSON, or a generator. */
import { Effect, Either, ParseResult, Random, Schema, Stream } from "effect"
import { CloseRoom, CreateRoom, JoinRoom, LeaveRoom, ReadRoom, RoomId, UserId } from "./Domain.ts"

const requests = { CreateRoom, JoinRoom, LeaveRoom, CloseRoom, ReadRoom }

export interface Order {
  readonly request: InstanceType<typeof requests[keyof typeof requests]>
  /** Rolls the transaction back after the handler has succeeded. */
  readonly rollback: boolean
}

/** A line that is no order, with its number and the reason. */
export interface Malformed {
  readonly line: number
  readonly reason: string
}

const Line = Schema.parseJson(Schema.Struct(
  {
    _tag: Schema.Literal("CreateRoom", "JoinRoom", "LeaveRoom", "CloseRoom", "ReadRoom").annotations({
      message: () => ({ message: `Expected one of ${Object.keys(requests).join(", ")}`, override: true })
    }),
    rollback: Schema.optionalWith(Schema.Boolean, { default: () => false })
  },
  Schema.Record({ key: Schema.String, value: Schema.Unknown })
))

const decodeOrder = (text: string): Either.Either<Order, string> =>
  Schema.decodeEither(Line)(text).pipe(
    Either.flatMap(({ rollback, ...payload }) =>
      Either.map(
        Schema.decodeUnknownEither(requests[payload._tag] as typeof JoinRoom)(payload, { onExcessProperty: "error" }),
        (request): Order => ({ request, rollback })
      )
    ),
    Either.mapLeft((error) => {
      const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
      return abridged([...issue!.path, issue!.message].join(": "))
    })
  )

/** One line of at most 200 characters, whatever stood in the input. */
export const abridged = (text: string): string => {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim()
  return line.length <= 200 ? line : `${line.slice(0, 199)}…`
}

/**
 * One order per line, such as `{"_tag":"JoinRoom","roomId":"blue","userId":"ada"}`, with `"rollback":true` to have it
 * rolled back at the last moment. Empty lines are skipped.
 */
export const fromLines = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Either.Either<Order, Malformed>, E, R> =>
  bytes.pipe(
    Stream.decodeText("utf-8"),
    Stream.splitLines,
    Stream.zipWithIndex,
    Stream.filter(([text]) => text.trim() !== ""),
    Stream.map(([text, index]) => Either.mapLeft(decodeOrder(text), (reason) => ({ line: index + 1, reason })))
  )

/** The same orders for the same seed: rooms fill up and are closed, some orders are refused and some rolled back. */
export const generate = (options: {
  readonly commands: number
  readonly rooms: number
  readonly seed: number
}): Stream.Stream<Either.Either<Order, Malformed>> =>
  Stream.unwrap(Effect.sync(() => {
    const random = Random.make(options.seed)
    const room = Effect.map(random.nextIntBetween(0, options.rooms), (n) => RoomId.make(`room-${n}`))
    const user = Effect.map(random.nextIntBetween(0, 60), (n) => UserId.make(`user-${n}`))
    const order = Effect.gen(function*() {
      const roomId = yield* room
      const dice = yield* random.nextIntBetween(0, 1000)
      const rollback = (yield* random.nextIntBetween(0, 100)) < 5
      const request = dice < 100
        ? new CreateRoom({ roomId, capacity: 1 + (yield* random.nextIntBetween(0, 50)) })
        : dice < 600
        ? new JoinRoom({ roomId, userId: yield* user })
        : dice < 900
        ? new LeaveRoom({ roomId, userId: yield* user })
        : dice < 903
        ? new CloseRoom({ roomId })
        : new ReadRoom({ roomId })
      return Either.right({ request, rollback })
    })
    return Stream.take(Stream.repeatEffect(order), options.commands)
  }))
