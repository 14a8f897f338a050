import assert from "node:assert/strict";
import { handlePageFault } from "../../../src/kvm/mmu/fault";
import { isLeaf, sptePfn } from "../../../src/kvm/mmu/spte";
import { pfn } from "../../../src/x86";
import { Guest, type GuestOptions } from "../guest";
import type { ScriptedVcpu } from "../scripted-vcpu";

export type Access = "read" | "write" | "fetch";
/** Error-code bits of an access whose address the guest's tables gave (GUEST_FINAL). */
const CODE = { read: 0x100000004, write: 0x100000002, fetch: 0x100000010 };
const RIGHT = { read: 1, write: 2, fetch: 4 };
const FAULT = { present: 1, user: 4, reserved: 8 };

export interface TdpOptions extends GuestOptions {
  readonly paging?: "ept" | "npt";
}

/** One of the guest's translations as its TLB keeps it. */
interface Cached {
  readonly rights: number;
  readonly pfn: number;
  readonly dirty: boolean;
}

/**
 * A guest whose accesses are gpas: the second dimension alone, walked here over the very sptes, with a TLB
 * that forgets only what it is told to. Every access is followed by a check of all invariants.
 */
export class TdpGuest extends Guest {
  /** Invariants that a test breaks on purpose. */
  readonly tolerated = new Set<string>();
  /** By vCPU, then gfn. */
  readonly tlbs = new Map<ScriptedVcpu, Map<number, Cached>>();

  constructor(options: TdpOptions = {}) {
    super({ paging: "ept", ...options, knobs: { pml: false, ...options.knobs } });
    this.prepare(this.first);
  }

  /** Another vCPU, in the guest. */
  more(): ScriptedVcpu {
    const vcpu = this.addVcpu();
    this.prepare(vcpu);
    return vcpu;
  }

  private prepare(actor: ScriptedVcpu): void {
    const { vcpu, cpu } = actor;
    const tlb = new Map<number, Cached>();
    this.tlbs.set(actor, tlb);
    cpu.flushTlb = () => tlb.clear();
    vcpu.enter();
  }

  /** Makes an access with its exits; what it ended in. */
  touch(gpa: number, access: Access, actor = this.first): "ok" | "emulate" | "failed" {
    for (let tries = 0; tries < 20; tries++) {
      const code = this.hardware(gpa, access, actor);
      if (code === 0) return "ok";
      const decision = handlePageFault(this.vm.core.state, actor.vcpu.mmu, BigInt(gpa), code);
      actor.vcpu.enter();
      this.verify(`${access} ${gpa.toString(16)}`);
      if (decision === "emulate") return "emulate";
      if (actor.vcpu.failure) return "failed";
    }
    throw new Error(`access to gpa ${gpa.toString(16)} is retried for ever`);
  }

  /** The walk of the sptes: 0 when the access is allowed, A and D set, else the error code. */
  hardware(gpa: number, access: Access, actor = this.first): number {
    const { state } = this.vm.core;
    const { mmu } = actor.vcpu;
    const tlb = this.tlbs.get(actor)!;
    const frame = Math.floor(gpa / 4096);
    const cached = tlb.get(frame);
    const useful = cached && cached.rights & RIGHT[access] && (access !== "write" || cached.dirty);
    if (useful) return 0;
    if (mmu.requests !== 0 || mmu.root.kind === "none") actor.vcpu.enter();
    if (mmu.root.kind !== "page") return CODE[access];
    const { format, words } = state;
    let page = mmu.root.page;
    for (;;) {
      const sptep = page.base + (Math.floor(frame / 512 ** (page.level - 1)) % 512);
      const lo = words[2 * sptep]!;
      const hi = words[2 * sptep + 1]!;
      if (format.isMmio(lo, hi)) return FAULT.reserved + (CODE[access] - (CODE[access] % 2 ** 32));
      const rights = this.rights(lo, hi);
      if (rights === 0) return this.code(access, false);
      if (!isLeaf(lo, page.level)) {
        page = state.pageInFrame(pfn(sptePfn(lo, hi)))!;
        continue;
      }
      if (!(rights & RIGHT[access])) return this.code(access, true);
      if (format.usesAdBits(hi)) {
        words[2 * sptep]! |= format.accessed;
        if (access === "write") words[2 * sptep]! |= format.dirty;
      }
      const offset = frame % 512 ** (page.level - 1);
      const dirty = (words[2 * sptep]! & format.dirty) !== 0;
      tlb.set(frame, { rights, pfn: sptePfn(lo, hi) + offset, dirty });
      return 0;
    }
  }

  private rights(lo: number, hi: number): number {
    if (this.vm.format.hardware === "ept") return lo & 7;
    return lo & 1 ? 1 | (lo & 2) | (hi & 0x80000000 ? 0 : 4) : 0;
  }
  private code(access: Access, present: boolean): number {
    const user = this.vm.format.hardware === "ept" || access === "read" ? 0 : FAULT.user;
    return CODE[access] + user + (present ? FAULT.present : 0);
  }

  /** All invariants, and that no TLB has a page the host took away, or can write what the log says is clean. */
  verify(step: string): void {
    const { state } = this.vm.core;
    state.writeLog ??= [];
    const wrong = this.vm.check().filter((text) => !this.tolerated.has(text.split(":")[0]!));
    assert.deepEqual(wrong, [], `after ${step}`);
    state.writeLog = [];
    for (const tlb of this.tlbs.values())
      for (const [frame, cached] of tlb) {
        const slot = this.vm.slots.find((s) => s.contains(frame as never));
        const host = slot && this.process.translate(slot.hvaOf(frame as never));
        assert.equal(cached.pfn, host, `a TLB has gfn ${frame.toString(16)}, after ${step}`);
        const unlogged = slot?.logsDirty && !slot.isDirty(frame as never);
        assert.ok(
          !(unlogged && cached.rights & RIGHT.write),
          `a TLB writes unlogged, after ${step}`,
        );
      }
  }

  /** The leaf or mark that stands for a gpa, in the first vCPU's tree. */
  leafAt(gpa: number): bigint {
    const { state } = this.vm.core;
    const { root } = this.vcpu.mmu;
    if (root.kind !== "page") return -1n;
    let page = root.page;
    const frame = Math.floor(gpa / 4096);
    for (;;) {
      const index = Math.floor(frame / 512 ** (page.level - 1)) % 512;
      const sptep = page.base + index;
      const lo = state.words[2 * sptep]!;
      const hi = state.words[2 * sptep + 1]!;
      if (!state.format.isTable(lo, hi, page.level)) return this.spte(page.spt + 8 * index);
      page = state.pageInFrame(pfn(sptePfn(lo, hi)))!;
    }
  }
}
