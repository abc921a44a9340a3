import { fits, type Properties } from "./packet.ts"

/**
 * What is published on one channel, as the frames of AMQP 0-9-1, many messages in one piece of memory: amqplib makes four
 * pieces for each of them, which was a third of all that publishing costs. What is out of the ordinary is left to amqplib:
 * this writes what amqplib would have written.
 *
 * Source: the specification of AMQP 0-9-1, sections 4.2 and 1.8.3, and RabbitMQ's errata for the types in tables.
 */
export class Frames {
  private piece = Buffer.alloc(0)
  /** Up to here it is handed over. */
  private start = 0
  /** Up to here it is written. */
  private at = 0

  constructor(
    private readonly channel: number,
    /** What the server takes in one frame. */
    private readonly frameMax: number,
    /** Gets whole messages, in order. It may keep the memory. */
    private readonly write: (frames: Buffer) => void
  ) {}

  /** `false`: it was not taken, and is amqplib's, behind a {@link flush}. */
  add(exchange: string, routingKey: string, content: Buffer, properties: Properties): boolean {
    const most = mostBytes(exchange, routingKey, content, properties)
    if (most === undefined || most > pieceBytes || content.length + frameBytes > this.frameMax) return false
    if (this.at + most > this.piece.length) {
      this.flush()
      this.piece = Buffer.allocUnsafeSlow(pieceBytes)
      this.start = this.at = 0
    }
    const method = this.open(1)
    this.long(basicPublish)
    this.short(0)
    this.shortText(exchange)
    this.shortText(routingKey)
    this.octet(mandatory)
    this.close(method)
    const header = this.open(2)
    this.long(basicProperties)
    this.longLong(content.length)
    this.properties(properties)
    this.close(header)
    if (content.length > 0) {
      const body = this.open(3)
      this.at += content.copy(this.piece, this.at)
      this.close(body)
    }
    return true
  }

  /** Hands over what is written. */
  flush(): void {
    const { at, piece, start } = this
    this.start = at
    if (at > start) this.write(piece.subarray(start, at))
  }

  /** In the order of their flags. */
  private properties(properties: Properties): void {
    const { contentEncoding, contentType, correlationId, headers, messageId, timestamp, type } = properties
    const flagsAt = this.at
    this.at += 2
    let flags = 0x2000 | 0x1000
    if (contentType !== undefined) {
      flags |= 0x8000
      this.shortText(contentType)
    }
    if (contentEncoding !== undefined) {
      flags |= 0x4000
      this.shortText(contentEncoding)
    }
    const table = this.at
    this.at += 4
    for (const name in headers) {
      this.shortText(name)
      this.octet(longText)
      const length = this.at
      this.at += 4
      this.text(headers[name] as string)
      this.lengthOf(length)
    }
    this.lengthOf(table)
    this.octet(persistent)
    if (correlationId !== undefined) {
      flags |= 0x0400
      this.shortText(correlationId)
    }
    if (messageId !== undefined) {
      flags |= 0x0080
      this.shortText(messageId)
    }
    if (timestamp !== undefined) {
      flags |= 0x0040
      this.longLong(timestamp)
    }
    if (type !== undefined) {
      flags |= 0x0020
      this.shortText(type)
    }
    this.piece[flagsAt] = flags >>> 8
    this.piece[flagsAt + 1] = flags
  }

  /** Begins a frame. Answers where its length stands. */
  private open(type: number): number {
    this.octet(type)
    this.short(this.channel)
    this.at += 4
    return this.at - 4
  }

  private close(length: number): void {
    this.lengthOf(length)
    this.octet(frameEnd)
  }

  /** Of all that is written behind the place of this length. */
  private lengthOf(place: number): void {
    const end = this.at
    this.at = place
    this.long(end - place - 4)
    this.at = end
  }

  private octet(value: number): void {
    this.piece[this.at++] = value
  }

  private short(value: number): void {
    this.octet(value >>> 8)
    this.octet(value)
  }

  private long(value: number): void {
    this.short(value >>> 16)
    this.short(value)
  }

  private longLong(value: number): void {
    this.long(Math.floor(value / 0x1_0000_0000))
    this.long(value >>> 0)
  }

  private shortText(value: string): void {
    const length = this.at++
    this.text(value)
    this.piece[length] = this.at - length - 1
  }

  private text(value: string): void {
    const { at, piece } = this
    const { length } = value
    if (length <= fewCharacters) {
      let i = 0
      for (; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 127) break
        piece[at + i] = code
      }
      if (i === length) {
        this.at = at + length
        return
      }
    }
    this.at = at + piece.write(value, at)
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const pieceBytes = 64 * 1024

/** Around what a frame holds. */
const frameBytes = 8

const basicPublish = 60 << 16 | 40

const basicProperties = 60 << 16

const mandatory = 1

const persistent = 2

/** The type of a header that is text. */
const longText = 0x53

const frameEnd = 0xce

/** For a few of them a call costs more than it does. */
const fewCharacters = 60

/** Beside texts and body: three frames of 8 bytes, and all that has a fixed size in them. */
const fixedBytes = 96

/** No more than what it needs; `undefined` if it has something that is not written here. */
const mostBytes = (
  exchange: string,
  routingKey: string,
  content: Buffer,
  properties: Properties
): number | undefined => {
  const { contentEncoding = "", contentType = "", correlationId = "", headers, messageId = "", type = "" } = properties
  if (properties.appId !== undefined || properties.priority !== undefined || properties.replyTo !== undefined) return
  if (!Number.isSafeInteger(properties.timestamp ?? 0)) return
  for (const short of [exchange, routingKey, contentEncoding, contentType, correlationId, messageId, type]) {
    if (!fits(short)) return
  }
  let characters = exchange.length + routingKey.length + contentEncoding.length + contentType.length +
    correlationId.length + messageId.length + type.length
  let count = 0
  for (const name in headers) {
    const value: unknown = headers[name]
    if (typeof value !== "string" || !fits(name)) return
    characters += name.length + value.length
    count += 1
  }
  // no character has more than three bytes for each of its units
  return fixedBytes + characters * 3 + count * 6 + content.length
}
