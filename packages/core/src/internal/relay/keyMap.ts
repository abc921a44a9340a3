/** A map by topic and key, without making one text of the two: any text may be in either. */
export class KeyMap<A> {
  private readonly topics = new Map<string, Map<string, A>>()

  get(topic: string, key: string): A | undefined {
    return this.topics.get(topic)?.get(key)
  }

  has(topic: string, key: string): boolean {
    return this.topics.get(topic)?.has(key) ?? false
  }

  set(topic: string, key: string, value: A): void {
    const keys = this.topics.get(topic)
    if (keys === undefined) this.topics.set(topic, new Map([[key, value]]))
    else keys.set(key, value)
  }

  delete(topic: string, key: string): void {
    const keys = this.topics.get(topic)
    keys?.delete(key)
    if (keys?.size === 0) this.topics.delete(topic)
  }

  clear(): void {
    this.topics.clear()
  }

  values(): ReadonlyArray<A> {
    return [...this.topics.values()].flatMap((keys) => [...keys.values()])
  }

  get isEmpty(): boolean {
    return this.topics.size === 0
  }
}
