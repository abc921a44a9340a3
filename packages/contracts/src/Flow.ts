/**
 * What leads to what: from commands over events and topics to consumers, as a diagram or as text.
 *
 * @since 0.1.0
 */
import type { Contract } from "./Contract.ts"

/**
 * A flow chart for Mermaid (11), as GitHub renders it: commands, the events that their handlers announce, topics, and
 * consumers. What goes through the outbox is a solid arrow, what is emitted a dotted one. Where a consumer reads some of a
 * topic's events the arrow says which. Requests that announce nothing are left out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const mermaid = (contract: Contract): string => {
  const { edges, nodes } = graphOf(contract)
  const ids = new Map([...nodes.keys()].map((key, at) => [key, `n${at}`]))
  return [
    "flowchart LR",
    ...[...nodes].map(([key, { kind, text }]) => `  ${ids.get(key)}${shapes[kind](quoted(text))}:::${kind}`),
    ...edges.map(({ from, isDotted, label, to }) =>
      `  ${ids.get(from)} ${isDotted ? "-.->" : "-->"}${label === undefined ? "" : `|${quoted(label)}|`} ${ids.get(to)}`
    ),
    "  classDef command fill:#dbe9ff,stroke:#3b6fb6,color:#10243f",
    "  classDef query fill:#eef2f7,stroke:#7b8794,color:#1f2933",
    "  classDef domain fill:#fff4d6,stroke:#b98900,color:#3d2c00",
    "  classDef event fill:#ffe3c2,stroke:#c46a00,color:#3f2200",
    "  classDef topic fill:#e6e0f8,stroke:#6b4fbb,color:#22153f",
    "  classDef consumer fill:#d8f3e3,stroke:#2f855a,color:#0b2f1c",
    ""
  ].join("\n")
}

/**
 * The same as lines of text, one for each way through: `JoinRoom → room_changed → rooms → audit`. `⇢` is emitted, and goes
 * past the outbox.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (contract: Contract): string => {
  const { consumers, events, handlers } = contract
  const onwards = (name: string): ReadonlyArray<string> => {
    const found = events.find(({ event }) => event.eventName === name)
    if (found === undefined) return [name]
    const groups = consumers.filter((one) => one.events.includes(found.event)).map(({ group }) => group)
    return groups.length === 0
      ? [`${name} → ${found.event.topic}`]
      : groups.map((group) => `${name} → ${found.event.topic} → ${group}`)
  }
  const handled = handlers.flatMap(({ adds, emits, request }) => [
    ...adds.flatMap(({ eventName }) => onwards(eventName).map((rest) => `${request.id} → ${rest}`)),
    ...emits.flatMap(({ eventName }) => onwards(eventName).map((rest) => `${request.id} ⇢ ${rest}`))
  ])
  const reached = new Set(handlers.flatMap(({ adds, emits }) => [...adds, ...emits].map(({ eventName }) => eventName)))
  const others = events.map(({ event }) => event.eventName).filter((name) => !reached.has(name)).flatMap(onwards)
  return [...handled, ...others].map((line) => `${line}\n`).join("")
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

type Kind = "command" | "query" | "domain" | "event" | "topic" | "consumer"

interface Graph {
  readonly nodes: ReadonlyMap<string, { readonly kind: Kind; readonly text: string }>
  readonly edges: ReadonlyArray<
    { readonly from: string; readonly to: string; readonly isDotted: boolean; readonly label?: string }
  >
}

const shapes: { readonly [K in Kind]: (text: string) => string } = {
  command: (text) => `[${text}]`,
  query: (text) => `[${text}]`,
  domain: (text) => `([${text}])`,
  event: (text) => `([${text}])`,
  topic: (text) => `[(${text})]`,
  consumer: (text) => `[[${text}]]`
}

/** Mermaid's own escapes: a name may have quotes, brackets, or be a word of its grammar. */
const quoted = (text: string): string =>
  `"${text.replace(/[^\p{L}\p{N} _./-]/gu, (character) => `#${character.codePointAt(0)};`)}"`

const graphOf = ({ consumers, events: all, handlers }: Contract): Graph => {
  const nodes = new Map<string, { readonly kind: Kind; readonly text: string }>()
  const edges: Array<Graph["edges"][number]> = []
  const node = (kind: Kind, text: string): string => {
    const key = JSON.stringify([kind, text])
    if (!nodes.has(key)) nodes.set(key, { kind, text })
    return key
  }
  const edge = (from: string, to: string, isDotted = false): void => {
    edges.push({ from, to, isDotted })
  }
  for (const { adds, emits, request } of handlers) {
    if (adds.length + emits.length === 0) continue
    const from = node(request.kind, request.id)
    for (const { eventName } of adds) edge(from, node("event", eventName))
    for (const event of emits) {
      const isDomain = (event as { readonly kind?: unknown }).kind === "domain"
      edge(from, node(isDomain ? "domain" : "event", event.eventName), true)
    }
  }
  for (const { announced, event } of all) {
    const topic = node("topic", event.topic)
    if (announced) edge(node("event", event.eventName), topic)
  }
  for (const { events, group } of consumers) {
    for (const topic of new Set(events.map(({ topic }) => topic))) {
      const names = events.filter((event) => event.topic === topic).map(({ eventName }) => eventName)
      const isAll = all.every(({ event }) => event.topic !== topic || names.includes(event.eventName))
      edges.push({
        from: node("topic", topic),
        to: node("consumer", group),
        isDotted: false,
        ...(isAll ? {} : { label: names.join(", ") })
      })
    }
  }
  return { nodes, edges }
}
