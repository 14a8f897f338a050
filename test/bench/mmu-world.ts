import { GUEST_HVA, HostMemory, HostProcess, hostMemoryBytes } from "../../src/host";
import { type GuestCpu, type Vcpu, Vm } from "../../src/kvm";
import { CR0, CR4, EFER, gfn, gpa, hva, Trace } from "../../src/x86";

/** Registers of a 64-bit guest, and no TLB at all: only the hypervisor's own work is measured. */
class QuietCpu implements GuestCpu {
  cr0 = CR0.PE | CR0.PG | CR0.WP;
  cr3 = 0n;
  cr4: bigint = CR4.PAE;
  efer: bigint = EFER.LME | EFER.LMA | EFER.NX;
  cpl = 3;
  ac = false;
  pkru = 0;
  rip = 0x100000n;
  delivering = false;
  flushTlb(): void {}
  flushTlbPage(): void {}
  setPdptes(): void {}
}

export const PAGE = 4096;
const TABLE_ENTRIES = 512;
/** P, W, U, D: A is clear, so that nothing is prefetched. */
export const COLD = 0x47;
/** … and A: neighbours are prefetched. */
export const WARM = 0x67;

/** A process of the guest: its CR3 and where its data is mapped. */
export interface GuestProcess {
  readonly cr3: bigint;
  readonly base: number;
  /** Guest tables of level 1, in order: gpa of each. */
  readonly tables: readonly number[];
  /** gpa of the table above them. */
  readonly directory: number;
}

/** A virtual machine without devices or processor, whose guest's tables are written from outside. */
export class MmuWorld {
  readonly trace = new Trace();
  readonly memory: WebAssembly.Memory;
  readonly host: HostMemory;
  readonly process: HostProcess;
  readonly vm: Vm;
  readonly cpu = new QuietCpu();
  readonly vcpu: Vcpu;
  private nextTable: number;

  /** Slot 0 holds tables, `tablePages` of them, from gpa 0 on. Data comes in slots of its own. */
  constructor(tablePages: number, dataPages: number, mmuPages: number) {
    const zones = { low: 16, guest: tablePages + dataPages + 64, mmu: mmuPages };
    const base = 0x10000;
    const bytes = base + hostMemoryBytes(zones);
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 0x10000) });
    this.host = new HostMemory(this.memory, base, zones);
    this.process = new HostProcess(this.host, this.trace);
    this.process.mmap(GUEST_HVA, (tablePages + dataPages) * PAGE, {
      kind: "anonymous",
      writable: true,
    });
    this.vm = new Vm({
      memory: this.memory,
      host: this.host,
      process: this.process,
      trace: this.trace,
      features: { physicalBits: 46, gigabytePages: true, pse36: true, amd: false },
    });
    this.setSlot(0, 0, tablePages, 0);
    this.vcpu = this.vm.addVcpu(this.cpu);
    this.vm.core.state.maxPages = mmuPages - 64;
    this.nextTable = PAGE;
  }

  /** A slot whose memory begins `at` pages into the process's. */
  setSlot(id: number, base: number, pages: number, at: number, flags = 0): void {
    const outcome = this.vm.setMemoryRegion({
      slot: id,
      flags,
      guestPhysAddr: gpa(base * PAGE),
      memorySize: pages * PAGE,
      userspaceAddr: hva(GUEST_HVA + at * PAGE),
    });
    if (outcome.kind !== "done") throw new Error(outcome.reason);
    this.vm.core.state.maxPages = this.host.zones.mmu.pages - 64;
  }

  /** Writes a guest entry as a loader would: KVM does not hear of it. */
  poke(at: number, value: number): void {
    const offset = this.vm.memory.frameOffset(gfn(Math.floor(at / PAGE)), true);
    const word = (offset + (at % PAGE)) >>> 2;
    this.host.words[word] = value >>> 0;
    this.host.words[word + 1] = Math.floor(value / 2 ** 32);
  }

  private table(): number {
    const at = this.nextTable;
    this.nextTable += PAGE;
    return at;
  }

  /** A process that maps `pages` pages of guest memory from gfn `first` on at 1 GB, with these bits in its gptes. */
  addProcess(first: number, pages: number, bits: number): GuestProcess {
    const [top, pointers, directory] = [this.table(), this.table(), this.table()];
    const base = 2 ** 30;
    this.poke(top, pointers | 7);
    this.poke(pointers + 8, directory | 7);
    const tables: number[] = [];
    for (let page = 0; page < pages; page++) {
      if (page % TABLE_ENTRIES === 0) {
        const table = this.table();
        tables.push(table);
        this.poke(directory + 8 * (tables.length - 1), table | 7);
      }
      const entry = tables[tables.length - 1]! + 8 * (page % TABLE_ENTRIES);
      this.poke(entry, (first + page) * PAGE + bits);
    }
    return { cr3: BigInt(top), base, tables, directory };
  }

  /** The guest loads CR3. */
  switchTo(process: GuestProcess): void {
    const old = this.cpu.cr3;
    this.cpu.cr3 = process.cr3;
    this.vcpu.cr3Written(old, process.cr3, false);
  }

  /** A user read of page `page` of the process that is running finds no spte. */
  readFault(process: GuestProcess, page: number): void {
    this.vcpu.pageFault(BigInt(process.base + page * PAGE), 4);
  }
  /** The host has a page for this gfn: prefetching takes no other. */
  makeResident(frame: number): void {
    this.vm.memory.frameOffset(gfn(frame), true);
  }
  /** Maps one page of guest memory behind all others of the process; its address. */
  mapAfter(process: GuestProcess, at: number): number {
    const table = this.table();
    this.poke(process.directory + 8 * process.tables.length, table | 7);
    this.poke(table, at | WARM);
    return process.base + process.tables.length * TABLE_ENTRIES * PAGE;
  }
  /** Maps the first `pages` pages of the process. */
  populate(process: GuestProcess, pages: number): void {
    this.switchTo(process);
    for (let page = 0; page < pages; page++) this.readFault(process, page);
  }

  /** A store of 8 bytes that is emulated because the frame is a guest table. */
  emulateStore(at: number, value: number): void {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, value >>> 0, true);
    view.setUint32(4, Math.floor(value / 2 ** 32), true);
    this.vcpu.emulatedStore(at, bytes);
  }
}
