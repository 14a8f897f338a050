const ROW = 16;

/**
 * Bytes as text, sixteen to a row: address, bytes in two groups of eight, and what they spell.
 * A page-table entry is one group, lowest byte first.
 */
export function hexDump(address: bigint, bytes: Uint8Array, unreadable: number): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = bytes.subarray(at, at + ROW);
    const groups = [row.subarray(0, ROW / 2), row.subarray(ROW / 2)].map(hex);
    const where = (address + BigInt(at)).toString(16).padStart(16, "0");
    rows.push(`${where}  ${groups.map((g) => g.padEnd(23)).join("  ")}  ${spell(row)}`);
  }
  if (unreadable > 0) rows.push(`${unreadable} bytes cannot be read: nothing is mapped there.`);
  return rows.join("\n");
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function spell(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".",
  ).join("");
}
