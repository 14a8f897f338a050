/** Events that the machine and the host under it announce, with what each means. */
export const MACHINE_EVENTS: Readonly<Record<string, string>> = {
  exception: "an exception is about to be delivered to the guest",
  invlpg: "INVLPG is about to be executed",
  cr_write: "a control register is about to change",
  efer_write: "EFER is about to change",
  triple_fault:
    "the vCPU shuts down: a fault while delivering a double fault, or in older eras a root outside the slots",
  unassigned_io: "a port without a device was accessed",
  unassigned_mmio: "a guest physical address without memory or device was accessed",
  host_action: "the host was told to do something to a page",
  host_fault_in: "a page of the host process became resident, zero or read from a file",
  host_swap_in: "a page came back from the host's swap device",
  host_swap_out: "a page of the host process went to the swap device",
  host_migrate: "a page of the host process moved to another frame",
  host_merge: "a page of the host process came to share the frame of one with the same bytes",
  host_cow: "a write to a shared page of the host process gave it a frame of its own",
  host_collapse: "2 MiB of the host process became one huge page",
  host_split: "a huge page of the host process became 4 KiB pages",
  host_discard:
    "the host process let go of pages: their next use brings zeros, or the file's bytes",
  host_protect: "pages of the host process lost or got write permission",
  host_poison: "the memory of a page of the host process is broken: its next use fails",
  host_unpoison: "a poisoned page of the host process can be used again",
  host_reclaim: "the host took pages that were not used lately",
};
