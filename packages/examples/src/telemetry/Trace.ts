/** The spans of one command, as the one picture that they are: by their parents, and by their links. */
import { SpanKind } from "@opentelemetry/api"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"

export interface Node {
  readonly span: ReadableSpan
  readonly name: string
  readonly kind: string
  /** Whether it is linked to the one above it, and not its child. */
  readonly isLinked: boolean
  readonly below: ReadonlyArray<Node>
}

const kinds: Readonly<Record<SpanKind, string>> = {
  [SpanKind.INTERNAL]: "internal",
  [SpanKind.SERVER]: "server",
  [SpanKind.CLIENT]: "client",
  [SpanKind.PRODUCER]: "producer",
  [SpanKind.CONSUMER]: "consumer"
}

/** The statements of the database are many, and no news. */
export const isTold = ({ name }: ReadableSpan): boolean => !name.startsWith("sql.")

/** Everything that can be reached from a span. What is linked to several is below each of them. */
export const picture = (spans: ReadonlyArray<ReadableSpan>, root: ReadableSpan, isLinked = false): Node => {
  const { spanId } = root.spanContext()
  const below = spans.flatMap((span) =>
    span.parentSpanContext?.spanId === spanId
      ? [picture(spans, span)]
      : span.links.some(({ context }) => context.spanId === spanId)
      ? [picture(spans, span, true)]
      : []
  )
  const group = root.attributes["messaging.consumer.group.name"]
  return {
    span: root,
    name: group === undefined ? root.name : `${root.name} (${String(group)})`,
    kind: kinds[root.kind],
    isLinked,
    below: [...below].sort((a, b) => `${a.kind} ${a.name}` < `${b.kind} ${b.name}` ? -1 : 1)
  }
}

/** The picture as lines of text: `>` is a child, `~` is linked. */
export const lines = ({ below, isLinked, kind, name }: Node, depth = 0): ReadonlyArray<string> => [
  `${"  ".repeat(depth)}${depth === 0 ? "" : isLinked ? "~ " : "> "}${name} [${kind}]`,
  ...below.flatMap((node) => lines(node, depth + 1))
]

const colours: Readonly<Record<string, string>> = {
  internal: "#7b8794",
  producer: "#2f855a",
  client: "#2b6cb0",
  consumer: "#b7791f"
}

const [width, bar, left, right] = [860, 24, 300, 20]

const micros = ([seconds, nanos]: readonly [number, number]): number => seconds * 1e6 + nanos / 1e3

/** The picture as an SVG: a bar for each span, where it was in time. */
export const svg = (root: Node): string => {
  const rows: Array<{ readonly node: Node; readonly depth: number; readonly above: number | undefined }> = []
  const collect = (node: Node, depth: number, above: number | undefined): void => {
    const at = rows.push({ node, depth, above }) - 1
    for (const one of node.below) collect(one, depth + 1, at)
  }
  collect(root, 0, undefined)
  const began = Math.min(...rows.map(({ node }) => micros(node.span.startTime)))
  const ended = Math.max(...rows.map(({ node }) => micros(node.span.endTime)))
  const x = (time: number): number => left + (time - began) / (ended - began) * (width - left - right)
  const middle = (row: number): number => 40 + row * bar + bar / 2
  const escaped = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;")
  const height = 40 + rows.length * bar + 36
  const text = (row: number, at: number, what: string, more = "") =>
    `<text x="${at}" y="${middle(row) + 4}"${more}>${escaped(what)}</text>`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="10" y="22" font-weight="bold">One command, from the request to its consumers</text>`,
    ...rows.flatMap(({ above, depth, node }, row) => {
      const [from, to] = [x(micros(node.span.startTime)), x(micros(node.span.endTime))]
      const elbow = 16 + (depth - 1) * 14
      return [
        ...(above === undefined ? [] : [
          `<path d="M${elbow} ${middle(above) + 6}V${middle(row)}H${elbow + 10}" fill="none" stroke="#4a5568"` +
          `${node.isLinked ? ` stroke-dasharray="3 3"` : ""}/>`
        ]),
        text(row, depth === 0 ? 10 : elbow + 13, node.name),
        `<rect x="${from.toFixed(1)}" y="${middle(row) - 7}" width="${
          Math.max(2, to - from).toFixed(1)
        }" height="14" rx="2"` +
        ` fill="${colours[node.kind] ?? "#7b8794"}"/>`
      ]
    }),
    ...Object.entries(colours).flatMap(([kind, colour], at) => [
      `<rect x="${10 + at * 100}" y="${height - 24}" width="12" height="12" rx="2" fill="${colour}"/>`,
      `<text x="${27 + at * 100}" y="${height - 14}">${kind}</text>`
    ]),
    `<path d="M420 ${height - 18}h30" stroke="#4a5568"/><text x="456" y="${height - 14}">child</text>`,
    `<path d="M510 ${height - 18}h30" stroke="#4a5568" stroke-dasharray="3 3"/><text x="546" y="${
      height - 14
    }">linked</text>`,
    `<text x="${width - right}" y="${height - 14}" text-anchor="end">${((ended - began) / 1000).toFixed(0)} ms</text>`,
    "</svg>",
    ""
  ].join("\n")
}
