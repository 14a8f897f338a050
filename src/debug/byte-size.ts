/** Bytes in `64M`, `1G`, `4096`, `0x1000`; `undefined` for anything else. */
export function byteSize(text: string): number | undefined {
  const match = /^(0x[0-9a-f]+|\d+)\s*([kmg]?)i?b?$/i.exec(text.trim());
  if (!match) return undefined;
  const unit = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[match[2]?.toLowerCase() ?? ""] ?? 1;
  return Number(match[1]) * unit;
}
