import { LOW_MEMORY } from "../memory-map";
import { hex, type Refusal, refuse } from "../refusal";
import type { BootImage, BootRequest } from "./boot-image";

const LOAD_AT = 0x7c00;
const FIRST_HARD_DISK = 0x80;
const SIGNATURE_AT = 510;

/** A boot sector by its signature, or a file that its name declares to be raw code. */
export const isFlat = (image: Uint8Array, name: string): boolean =>
  (image[SIGNATURE_AT] === 0x55 && image[SIGNATURE_AT + 1] === 0xaa) ||
  /\.(bin|com|img)$/i.test(name);

/** Real-mode code at 0:7c00, as a BIOS leaves a boot sector; there are no BIOS services behind it. */
export function loadFlat({ image, imageName, initrd }: BootRequest): BootImage | Refusal {
  const room = LOW_MEMORY.ebda - LOAD_AT;
  if (image.length > room)
    return refuse(
      `${imageName}: ${hex(image.length)} bytes of real-mode code do not fit at ${hex(LOAD_AT)}–${hex(LOW_MEMORY.ebda)}: make it smaller or link it as ELF`,
    );
  if (initrd)
    return refuse(
      `${initrd.name}: ${imageName} is a flat binary, so an initrd cannot be handed to it: leave out --initrd`,
    );
  return {
    kind: "image",
    format: "flat",
    pieces: [{ gpa: LOAD_AT, bytes: image }],
    entry: { kind: "real", address: LOAD_AT, dl: FIRST_HARD_DISK },
  };
}
