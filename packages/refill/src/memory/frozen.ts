/**
 * Freezes a value through and through, so that many readers may be handed the same one. False, and nothing is frozen,
 * where that would protect nothing: bytes, dates, maps, sets and instances of classes change behind a frozen face.
 */
export function isFrozen(value: unknown): boolean {
  const parts = new Set<object>()
  // Grows while it is walked, by each object once: it ends for a value that contains itself, too.
  if (isObject(value)) parts.add(value)
  for (const part of parts) {
    if (!isPlain(part)) return false
    for (const name of Reflect.ownKeys(part)) {
      const { value: inner, get } = Object.getOwnPropertyDescriptor(part, name)!
      if (get !== undefined || typeof inner === 'function') return false
      if (isObject(inner)) parts.add(inner)
    }
  }
  for (const part of parts) Object.freeze(part)
  return true
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isPlain(part: object): boolean {
  const prototype = Object.getPrototypeOf(part)
  return prototype === Object.prototype || prototype === null || prototype === Array.prototype
}
