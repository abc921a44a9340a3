/** The first program of the README. */
// #region program
import {
  Bootstrap,
  Command,
  Consumer,
  Event,
  Handler,
  Mediator,
  Outbox,
  Subscribers,
  Transaction
} from "@effect-cqrs/core"
import { SqlStorage } from "@effect-cqrs/sql"
import { SqlClient } from "@effect/sql"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Console, Effect, Layer, Schema } from "effect"

// A command says what may be asked, and how it may be refused.
class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { roomId: Schema.String }) {}

class JoinRoom extends Command.make<JoinRoom>()("JoinRoom", {
  payload: { roomId: Schema.String, userId: Schema.String },
  failure: RoomFull,
  middleware: [Transaction.Transactional]
}) {}

// An event says what has happened, where it is announced, and in which order: that of its key.
class UserJoined extends Event.notification<UserJoined>()("user_joined", {
  topic: "rooms",
  payload: { roomId: Schema.String, userId: Schema.String },
  key: (event) => event.roomId
}) {}

// The handler's write and its event are one transaction: both are stored, or neither is.
const JoinRoomHandler = Handler.layer(
  JoinRoom,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table members (room_id text not null, user_id text not null)`
    return Effect.fnUntraced(function*({ roomId, userId }) {
      yield* Effect.orDie(sql`insert into members values (${roomId}, ${userId})`)
      yield* Outbox.add(new UserJoined({ roomId, userId }))
      const members = yield* Effect.orDie(sql`select user_id from members where room_id = ${roomId}`)
      if (members.length > 2) return yield* new RoomFull({ roomId }) // and everything above has never happened
    })
  })
)

// Another service, or a part of this one, hears of it: once per event, in order.
const Greeter = Consumer.layer({ subscription: { group: "greeter" }, events: [UserJoined], inbox: true }).pipe(
  Layer.provide(Subscribers.layer(UserJoined, {
    greet: ({ roomId, userId }) => Console.log(`${userId} has joined ${roomId}`)
  }))
)

const Database = SqliteClient.layer({ filename: ":memory:" })

const Main = Layer.mergeAll(JoinRoomHandler, Greeter).pipe(
  Layer.provideMerge(Bootstrap.layer({ storage: SqlStorage.layer({ migrate: true }) })),
  Layer.provide(Database)
)

const program = Effect.forEach(
  ["Ada", "Grace", "Linus"],
  (userId) =>
    Mediator.send(new JoinRoom({ roomId: "blue", userId })).pipe(
      Effect.catchTag("RoomFull", ({ roomId }) => Console.log(`${roomId} is full, ${userId} stays outside`)),
      Effect.zipRight(Effect.sleep("200 millis")) // relay and consumer run beside the program
    )
)

await Effect.runPromise(program.pipe(Effect.provide(Main)))
// #endregion program
