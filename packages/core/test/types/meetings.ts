import { Command, Event, Middleware, Query } from "@effect-cqrs/core"
import { Context, type Effect, Schema } from "effect"

export class MeetingFull extends Schema.TaggedError<MeetingFull>()("MeetingFull", { meetingId: Schema.String }) {}
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { id: Schema.String }) {}
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}

export class Meetings extends Context.Tag("Meetings")<Meetings, {
  readonly join: (meetingId: string, userId: string) => Effect.Effect<void, MeetingFull>
}>() {}
export class Mailer extends Context.Tag("Mailer")<Mailer, { readonly send: (to: string) => Effect.Effect<void> }>() {}
export class CurrentUser extends Context.Tag("CurrentUser")<CurrentUser, { readonly id: string }>() {}
export class Tenant extends Context.Tag("Tenant")<Tenant, string>() {}

/** Provides and fails. */
export class Auth extends Middleware.make<Auth>()("Auth", { provides: CurrentUser, failure: Unauthorized }) {}
/** Does neither. */
export class Audit extends Middleware.make<Audit>()("Audit") {}

export class JoinMeeting extends Command.make<JoinMeeting>()("JoinMeeting", {
  payload: { meetingId: Schema.String, userId: Schema.String },
  failure: MeetingFull
}) {}
export class LeaveMeeting extends Command.make<LeaveMeeting>()("LeaveMeeting", {
  payload: { meetingId: Schema.String }
}) {}
export class Ping extends Command.make<Ping>()("Ping") {}
export class ReadMeeting extends Query.make<ReadMeeting>()("ReadMeeting", {
  payload: { meetingId: Schema.String },
  success: Schema.Struct({ link: Schema.String }),
  failure: NotFound
}) {}

export class UserJoined extends Event.domain<UserJoined>()("UserJoined", {
  meetingId: Schema.String,
  userId: Schema.String
}) {}
export class MailQueued extends Event.domain<MailQueued>()("MailQueued", { to: Schema.String }) {}
export class RoomClosed extends Event.notification<RoomClosed>()("meeting_room_closed", {
  topic: "meeting_room_notifications",
  payload: { roomId: Schema.String },
  key: (event) => event.roomId
}) {}
export class RoomState extends Event.ecst<RoomState>()("meeting_room_state", {
  topic: "meeting_room_states",
  payload: { roomId: Schema.String, open: Schema.Boolean },
  key: (event) => event.roomId
}) {}

export const joinMeeting = new JoinMeeting({ meetingId: "standup", userId: "ada" })
export const leaveMeeting = new LeaveMeeting({ meetingId: "standup" })
export const readMeeting = new ReadMeeting({ meetingId: "standup" })
export const userJoined = new UserJoined({ meetingId: "standup", userId: "ada" })
export const mailQueued = new MailQueued({ to: "ada" })
export const roomClosed = new RoomClosed({ roomId: "blue" })
export const roomState = new RoomState({ roomId: "blue", open: false })
