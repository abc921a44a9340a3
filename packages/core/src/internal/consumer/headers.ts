export const deadLetterHeaders = {
  reason: "dead-letter-reason",
  attempts: "dead-letter-attempts",
  group: "dead-letter-group",
  topic: "dead-letter-topic",
  time: "dead-letter-time"
} as const

export const redrivenFor = "redriven-for"

/** Where a group's dead letters are unless it says otherwise. */
export const deadLetterTopicOf = (group: string): string => `${group}.dead-letters`
