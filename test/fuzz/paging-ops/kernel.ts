import { entriesAt, type Geometry, geometryOf } from "./geometry";
import { KERNEL_TABLES, RAM_PAGES, ROOTS } from "./layout";
import { MODES } from "./setup";

const P_W_A_D = 0x63n;
const LARGE = 0x80n;

/**
 * The kernel's map of all RAM in every mode, supervisor only, linked into each root: through it the
 * guest reaches its tables whatever has become of the rest. A root serves all modes, as each has its
 * own entry there.
 */
export function buildKernel(large: boolean, ram: Uint8Array): void {
  const builder = new Builder(large, new DataView(ram.buffer));
  for (const mode of MODES) if (mode !== "none") builder.build(geometryOf(mode));
}

class Builder {
  private used = 0;

  constructor(
    private readonly large: boolean,
    private readonly ram: DataView,
  ) {}

  build(geometry: Geometry): void {
    const depth = geometry.shifts.length;
    const entry = this.entryFor(geometry, depth, 0);
    for (const root of ROOTS) this.store(geometry, root, geometry.kernelIndex, entry);
  }

  /** An entry of `level` for RAM from page `from` on: a page, or a table made for it. */
  private entryFor(geometry: Geometry, level: number, from: number): bigint {
    if (level === 1) return BigInt(from * 4096) | P_W_A_D;
    if (level === 2 && this.large) return BigInt(from * 4096) | P_W_A_D | LARGE;
    const table = KERNEL_TABLES[this.used++]!;
    const each = (4096 / geometry.entryBytes) ** (level - 2);
    const entries = entriesAt(geometry, geometry.shifts.length - level + 1);
    for (let i = 0; i < entries && from + i * each < RAM_PAGES; i++)
      this.store(geometry, table, i, this.entryFor(geometry, level - 1, from + i * each));
    // A PDPTE has no flag but P.
    const flags = geometry.mode === "PAE" && level === 3 ? 1n : P_W_A_D;
    return BigInt(table * 4096) | flags;
  }

  private store({ entryBytes }: Geometry, table: number, index: number, value: bigint): void {
    const at = table * 4096 + index * entryBytes;
    if (entryBytes === 8) this.ram.setBigUint64(at, value, true);
    else this.ram.setUint32(at, Number(value), true);
  }
}
