import { ByteReader } from "../byte-reader";
import type { ProblemSink } from "./debug-sections";
import { readPointer } from "./frame-pointer-encoding";
import { readExtent } from "./initial-length";

/** What the frames of many functions have in common (DWARF 5, 6.4.1; augmentations as in the x86-64 psABI). */
export interface CommonFrame {
  readonly codeAlign: bigint;
  readonly dataAlign: bigint;
  readonly returnRegister: number;
  /** The functions run on an interrupt: their return address is not behind a call. */
  readonly signal: boolean;
  readonly addressSize: number;
  readonly pointerEncoding: number;
  readonly augmented: boolean;
  readonly instructions: Uint8Array;
}

/** How to unwind the code from `low` up to, not including, `high`. */
export interface FrameDescription {
  readonly low: bigint;
  readonly high: bigint;
  readonly common: CommonFrame;
  readonly instructions: Uint8Array;
}

interface Section {
  readonly bytes: Uint8Array;
  readonly name: ".debug_frame" | ".eh_frame";
  /** Where the section is when the program runs: encodings may be relative to it. */
  readonly address: bigint;
  readonly addressSize: number;
}

/** The call frame information of one image, from both sections that may hold it. */
export class CallFrames {
  private readonly frames: FrameDescription[] = [];

  constructor(
    debugFrame: Uint8Array,
    ehFrame: Uint8Array,
    ehFrameAddress: bigint,
    addressSize: number,
    problem: ProblemSink,
  ) {
    // .debug_frame comes first: of two descriptions of one address it is the richer.
    const sections: Section[] = [
      { bytes: debugFrame, name: ".debug_frame", address: 0n, addressSize },
      { bytes: ehFrame, name: ".eh_frame", address: ehFrameAddress, addressSize },
    ];
    for (const section of sections) this.read(section, problem);
  }

  at(address: bigint): FrameDescription | undefined {
    return this.frames.find(({ low, high }) => address >= low && address < high);
  }

  private read(section: Section, problem: ProblemSink): void {
    const commons = new Map<number, CommonFrame | undefined>();
    const reader = new ByteReader(section.bytes);
    const eh = section.name === ".eh_frame";
    while (reader.more) {
      const where = `${section.name}: the entry at 0x${reader.at.toString(16)}`;
      const extent = readExtent(reader);
      if (!extent) {
        problem(`${where} runs out of the section; it and what follows are left out.`);
        return;
      }
      const { reader: body, offsetSize, start } = extent;
      if (eh && body.at === body.end) return; // a length of 0 ends .eh_frame
      const idAt = body.at;
      const id = offsetSize === 8 ? body.u64() : BigInt(body.u32());
      const commonId = eh ? 0n : (1n << BigInt(8 * offsetSize)) - 1n;
      if (id === commonId) {
        commons.set(start, readCommon(body, section));
        continue;
      }
      const commonAt = eh ? idAt - Number(id) : Number(id);
      if (!commons.has(commonAt)) commons.set(commonAt, commonElsewhere(section, commonAt));
      const common = commons.get(commonAt);
      const frame = common && readFrame(body, section, common);
      if (frame) this.frames.push(frame);
      else problem(`${where} is damaged; its function unwinds by frame pointer.`);
    }
  }
}

/** `.debug_frame` may name a common entry that comes later. */
function commonElsewhere(section: Section, at: number): CommonFrame | undefined {
  const extent = readExtent(new ByteReader(section.bytes, at));
  if (!extent) return undefined;
  const { reader, offsetSize } = extent;
  const id = offsetSize === 8 ? reader.u64() : BigInt(reader.u32());
  const commonId = section.name === ".eh_frame" ? 0n : (1n << BigInt(8 * offsetSize)) - 1n;
  return id === commonId ? readCommon(reader, section) : undefined;
}

function readCommon(r: ByteReader, section: Section): CommonFrame | undefined {
  const version = r.u8();
  const augmentation = r.text();
  let addressSize = section.addressSize;
  if (version >= 4) {
    addressSize = r.u8();
    r.u8(); // segment selector size
  }
  const codeAlign = r.uleb();
  const dataAlign = r.sleb();
  const returnRegister = version === 1 ? r.u8() : r.count();
  let pointerEncoding = 0;
  let signal = false;
  const augmented = augmentation.startsWith("z");
  if (augmented) {
    const data = r.slice(r.count());
    for (const letter of augmentation.slice(1)) {
      if (letter === "R") pointerEncoding = data.u8();
      else if (letter === "S") signal = true;
      else if (letter === "L") data.u8();
      else if (letter === "P") readPointer(data, data.u8(), addressSize, section.address);
      else break;
    }
  } else if (/^S*$/.test(augmentation)) {
    signal = augmentation !== ""; // .debug_frame has no "z": this letter needs no data
  } else return undefined; // how much data it has is not known, so nothing behind it is
  if (r.failed || ![4, 8].includes(addressSize) || version > 4) return undefined;
  const instructions = r.block(r.end - r.at);
  return {
    codeAlign,
    dataAlign,
    returnRegister,
    signal,
    addressSize,
    pointerEncoding,
    augmented,
    instructions,
  };
}

function readFrame(
  r: ByteReader,
  section: Section,
  common: CommonFrame,
): FrameDescription | undefined {
  const { pointerEncoding, addressSize } = common;
  const low = readPointer(r, pointerEncoding, addressSize, section.address);
  // The length has the format of the pointer but is never relative to anything.
  const length = readPointer(r, pointerEncoding & 0x0f, addressSize, section.address);
  if (common.augmented) r.slice(r.count());
  if (r.failed || low === undefined || length === undefined) return undefined;
  return { low, high: low + length, common, instructions: r.block(r.end - r.at) };
}
