import { deadLetterHeaders } from "@effect-cqrs/core/Consumer"
import type { Message } from "@effect-cqrs/core/Message"

/** Why a consumer gave a message up, if this is what it published then. */
export const reasonOf = ({ headers }: Message): string | undefined => headers[deadLetterHeaders.reason]

export const isDeadLetter = (message: Message): boolean => reasonOf(message) !== undefined
