import { type Refusal, refuse } from "../refusal";
import type { BootImage, BootRequest } from "./boot-image";
import { isElf, readElf } from "./elf";
import { loadElf } from "./elf-direct";
import { isFlat, loadFlat } from "./flat";
import { findMultibootHeader, loadMultiboot } from "./multiboot";

/** Recognizes the image: multiboot header first, then ELF, then a flat binary. */
export function loadImage(request: BootRequest): BootImage | Refusal {
  const { image, imageName } = request;
  if (image.length === 0) return refuse(`${imageName}: the file is empty: give a guest to run`);
  const header = findMultibootHeader(image);
  if (header) return loadMultiboot(request, header);
  if (isElf(image)) {
    const elf = readElf(image, imageName);
    return elf.kind === "refused" ? elf : loadElf(request, elf);
  }
  if (isFlat(image, imageName)) return loadFlat(request);
  return refuse(
    `${imageName}: neither ELF, nor multiboot, nor a boot sector: give an ELF guest, or name raw real-mode code .bin`,
  );
}
