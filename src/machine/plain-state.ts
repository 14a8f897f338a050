/**
 * Deep copies of plain data: what every `save()` gives out and every `restore()` takes in. A saved
 * state never shares an object with the live machine, so either may go on without the other.
 */
export function copyPlain<T>(value: T): T {
  return copy(value) as T;
}

function copy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  if (value instanceof Uint8Array) return value.slice();
  if (value instanceof Uint32Array) return value.slice();
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copy(part)]));
}
