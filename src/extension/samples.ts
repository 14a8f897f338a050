import * as vscode from "vscode";
import { DEBUG_TYPE } from "./sessions";

/** A guest that comes with the extension. */
export interface Sample {
  readonly name: string;
  readonly program: vscode.Uri;
  /** The file to open before the guest has run. */
  readonly source: vscode.Uri;
}

/** The sample guests, found as `media/guests/NAME/NAME.elf` beside `NAME.c`. */
export async function findSamples(extension: vscode.Uri): Promise<Sample[]> {
  const guests = vscode.Uri.joinPath(extension, "media", "guests");
  const samples: Sample[] = [];
  for (const [name, type] of await vscode.workspace.fs.readDirectory(guests)) {
    if (type !== vscode.FileType.Directory) continue;
    const folder = vscode.Uri.joinPath(guests, name);
    const files = (await vscode.workspace.fs.readDirectory(folder)).map(([file]) => file);
    const source =
      files.find((file) => file === `${name}.c`) ?? files.find((f) => f.endsWith(".c"));
    if (!source || !files.includes(`${name}.elf`)) continue;
    samples.push({
      name,
      program: vscode.Uri.joinPath(folder, `${name}.elf`),
      source: vscode.Uri.joinPath(folder, source),
    });
  }
  return samples;
}

/** A whole launch configuration for a sample. */
export function sampleConfiguration(sample: Sample): vscode.DebugConfiguration {
  return {
    type: DEBUG_TYPE,
    request: "launch",
    name: `Penumbra: ${sample.name}`,
    program: sample.program.fsPath,
    mmu: "shadow",
    stopOnEntry: true,
  };
}
