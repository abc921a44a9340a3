import type { IHeaders } from "kafkajs"
import kafkajs from "kafkajs"
import type { ProduceRequest } from "./client.ts"
import { crc32c } from "./crc32c.ts"

/**
 * The body of a Produce request in the versions 3 to 7, written at once into one piece of memory: kafkajs makes one of 512
 * bytes for each header of each record, which was half of all that publishing costs.
 *
 * Source: Apache Kafka's protocol guide, Produce API and message format version 2 (KIP-98).
 */
export const encode = (request: ProduceRequest, now: number): Promise<Encoded> => {
  const { compression } = request
  const batches = request.topicData.flatMap(({ partitions }) => partitions.map(({ messages }) => recordsOf(messages)))
  return compression === 0
    ? Promise.resolve(bodyOf(request, now, batches))
    : Promise.all(batches.map((records) => codecOf(compression).compress(encoded(records)))).then((compressed) =>
      bodyOf(request, now, compressed)
    )
}

/** What kafkajs takes for one of its encoders. */
export interface Encoded {
  readonly buf: Buffer
  readonly buffer: Buffer
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

interface Codec {
  readonly compress: (encoder: Encoded) => Promise<Buffer>
}

const codecOf = (type: number): Codec => (kafkajs.CompressionCodecs as unknown as Record<number, () => Codec>)[type]!()

const encoded = (buffer: Buffer): Encoded => ({ buf: buffer, buffer })

type Records = ProduceRequest["topicData"][number]["partitions"][number]["messages"]

/** From the first byte of a batch to its records: offset, length, epoch, magic, checksum, and what that is of. */
const headerBytes = 61

/** Where the bytes begin that the checksum is of. */
const checkedFrom = 21

const bodyOf = (request: ProduceRequest, now: number, batches: ReadonlyArray<Buffer>): Encoded => {
  let size = 2 + 2 + 4 + 4
  let at = 0
  for (const { partitions, topic } of request.topicData) {
    size += 2 + Buffer.byteLength(topic) + 4
    for (let i = 0; i < partitions.length; i++) size += 8 + headerBytes + batches[at++]!.length
  }
  const buffer = Buffer.allocUnsafe(size)
  // no transaction; acknowledged by all replicas in sync
  let offset = buffer.writeInt16BE(-1, 0)
  offset = buffer.writeInt16BE(-1, offset)
  offset = buffer.writeInt32BE(request.timeout, offset)
  offset = buffer.writeInt32BE(request.topicData.length, offset)
  at = 0
  for (const { partitions, topic } of request.topicData) {
    offset = buffer.writeInt16BE(Buffer.byteLength(topic), offset)
    offset += buffer.write(topic, offset)
    offset = buffer.writeInt32BE(partitions.length, offset)
    for (const { firstSequence, messages, partition } of partitions) {
      const records = batches[at++]!
      offset = buffer.writeInt32BE(partition, offset)
      offset = buffer.writeInt32BE(headerBytes + records.length, offset)
      const start = offset
      offset = buffer.writeBigInt64BE(0n, offset)
      offset = buffer.writeInt32BE(headerBytes - 12 + records.length, offset)
      offset = buffer.writeInt32BE(0, offset)
      offset = buffer.writeInt8(2, offset)
      // the checksum, once the rest is there
      offset += 4
      offset = buffer.writeInt16BE(request.compression, offset)
      offset = buffer.writeInt32BE(messages.length - 1, offset)
      offset = buffer.writeBigInt64BE(BigInt(now), offset)
      offset = buffer.writeBigInt64BE(BigInt(now), offset)
      offset = buffer.writeBigInt64BE(BigInt(request.producerId), offset)
      offset = buffer.writeInt16BE(request.producerEpoch, offset)
      offset = buffer.writeInt32BE(firstSequence, offset)
      offset = buffer.writeInt32BE(messages.length, offset)
      offset += records.copy(buffer, offset)
      buffer.writeUInt32BE(crc32c(buffer, start + checkedFrom, offset), start + checkedFrom - 4)
    }
  }
  return encoded(buffer)
}

/** The records one after the other, each behind its length. All have the time of their batch. */
const recordsOf = (messages: Records): Buffer => {
  const sizes = messages.map(sizeOfRecord)
  let total = 0
  for (const size of sizes) total += sizeOfVarint(size) + size
  const writer = new Writer(Buffer.allocUnsafe(total))
  for (let i = 0; i < messages.length; i++) {
    const { headers = {}, key, value } = messages[i]!
    writer.varint(sizes[i]!)
    // attributes, and the difference in time
    writer.byte(0)
    writer.byte(0)
    writer.varint(i)
    writer.bytes(key)
    writer.bytes(value)
    writer.varint(countOf(headers))
    for (const name in headers) {
      const held = headers[name]
      if (Array.isArray(held)) {
        for (const one of held) writer.header(name, one)
      } else writer.header(name, held)
    }
  }
  return writer.buffer

  function sizeOfRecord({ headers = {}, key, value }: Records[number], index: number): number {
    let size = 2 + sizeOfVarint(index) + sizeOfBytes(key) + sizeOfBytes(value) + sizeOfVarint(countOf(headers))
    for (const name in headers) {
      const held = headers[name]
      const sizeOfName = sizeOfBytes(name)
      if (Array.isArray(held)) {
        for (const one of held) size += sizeOfName + sizeOfBytes(one)
      } else size += sizeOfName + sizeOfBytes(held)
    }
    return size
  }
}

const countOf = (headers: IHeaders): number => {
  let count = 0
  for (const name in headers) {
    const held = headers[name]
    count += Array.isArray(held) ? held.length : 1
  }
  return count
}

type Bytes = Buffer | string | null | undefined

/** A whole number in zigzag form, of 7 bits a byte. */
const sizeOfVarint = (value: number): number => {
  let rest = value < 0 ? -value * 2 - 1 : value * 2
  let size = 1
  while (rest > 127) {
    size += 1
    rest = Math.floor(rest / 128)
  }
  return size
}

const sizeOfBytes = (bytes: Bytes): number => {
  if (bytes === null || bytes === undefined) return 1
  const length = typeof bytes === "string" ? Buffer.byteLength(bytes) : bytes.length
  return sizeOfVarint(length) + length
}

class Writer {
  private offset = 0

  constructor(readonly buffer: Buffer) {}

  byte(value: number): void {
    this.buffer[this.offset++] = value
  }

  varint(value: number): void {
    let rest = value < 0 ? -value * 2 - 1 : value * 2
    while (rest > 127) {
      this.buffer[this.offset++] = (rest & 127) | 128
      rest = Math.floor(rest / 128)
    }
    this.buffer[this.offset++] = rest
  }

  bytes(value: Bytes): void {
    if (value === null || value === undefined) return this.varint(-1)
    if (typeof value === "string") return this.text(value)
    this.varint(value.length)
    value.copy(this.buffer, this.offset)
    this.offset += value.length
  }

  header(name: string, value: Bytes): void {
    this.text(name)
    this.bytes(value)
  }

  private text(value: string): void {
    const length = Buffer.byteLength(value)
    this.varint(length)
    if (length === value.length && length <= shortText) {
      // of one byte each: for a few of them a call costs more than it does
      for (let i = 0; i < length; i++) this.buffer[this.offset++] = value.charCodeAt(i)
    } else this.offset += this.buffer.write(value, this.offset)
  }
}

const shortText = 40
