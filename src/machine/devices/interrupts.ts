import type { TimerQueue } from "../time";
import { type ApicMessage, DELIVERY } from "./apic-message";
import { IoApic } from "./io-apic";
import { LocalApic } from "./local-apic";
import { PicPair } from "./pic";

/** Shorthands of ICR bits 19:18. */
const SHORTHAND = { none: 0, self: 1, all: 2, others: 3 } as const;
/** The timer's IRQ 0 is wired to I/O APIC input 2 on every PC with one. */
const TIMER_IRQ = 0;
const TIMER_INPUT = 2;

/** What the interrupt controllers do to the vCPUs. */
export interface InterruptTargets {
  now(): number;
  tscOffset(vcpu: number): bigint;
  /** The pin of this vCPU may have changed; read `pending` for it. */
  changed(): void;
  nmi(vcpu: number): void;
  init(vcpu: number): void;
  startup(vcpu: number, vector: number): void;
}

/** All interrupt controllers of the machine and the wires between them. */
export class Interrupts {
  readonly pic: PicPair;
  readonly ioApic: IoApic;
  readonly apics: readonly LocalApic[];

  constructor(
    vcpus: number,
    timers: TimerQueue,
    private readonly targets: InterruptTargets,
  ) {
    const changed = () => targets.changed();
    this.pic = new PicPair(changed);
    this.ioApic = new IoApic((message) => this.route(message));
    this.apics = Array.from(
      { length: vcpus },
      (_, id) =>
        new LocalApic(id, {
          now: () => targets.now(),
          tscOffset: () => targets.tscOffset(id),
          timers,
          send: (message, shorthand, from) => this.sendIpi(message, shorthand, from),
          endOfInterrupt: (vector) => this.ioApic.endOfInterrupt(vector),
          changed,
          nmi: () => targets.nmi(id),
          init: () => targets.init(id),
          startup: (vector) => targets.startup(id, vector),
        }),
    );
  }

  /** An ISA interrupt line. */
  setIrq(irq: number, level: boolean): void {
    this.pic.setLine(irq, level);
    this.ioApic.setLine(irq === TIMER_IRQ ? TIMER_INPUT : irq, level);
  }

  /** A global system interrupt by number: the first 16 are the PIC's inputs too. */
  setGsi(gsi: number, level: boolean): void {
    if (gsi < 16) this.pic.setLine(gsi, level);
    this.ioApic.setLine(gsi, level);
  }

  /** Something waits at this vCPU's interrupt pin. */
  pending(vcpu: number): boolean {
    const apic = this.apics[vcpu];
    if (!apic) return false;
    return apic.pendingVector >= 0 || (apic.takesExtInt && this.pic.requesting);
  }

  /** The interrupt to take now; -1 when there is none after all. */
  acknowledge(vcpu: number): number {
    const apic = this.apics[vcpu];
    if (!apic) return -1;
    if (apic.takesExtInt && this.pic.requesting) return this.pic.acknowledge();
    const vector = apic.pendingVector < 0 ? -1 : apic.acknowledge();
    this.targets.changed();
    return vector;
  }

  private sendIpi(message: ApicMessage, shorthand: number, from: number): void {
    if (shorthand === SHORTHAND.none) this.route(message);
    else
      for (const apic of this.apics)
        if (shorthand === SHORTHAND.all || (apic.id === from) === (shorthand === SHORTHAND.self))
          apic.accept(message);
  }

  /** Lowest priority goes to the matching APIC with the smallest task priority, the first of equals. */
  private route(message: ApicMessage): void {
    if (message.delivery === DELIVERY.extInt) return;
    const reached = this.apics.filter((a) => a.matches(message.logical, message.destination));
    if (message.delivery !== DELIVERY.lowest) for (const apic of reached) apic.accept(message);
    else {
      const best = reached.reduce<LocalApic | undefined>(
        (least, a) => (least === undefined || a.taskPriority < least.taskPriority ? a : least),
        undefined,
      );
      best?.accept(message);
    }
  }
}
