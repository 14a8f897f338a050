import path from "node:path";
import * as vscode from "vscode";
import { findSamples, sampleConfiguration } from "./samples";
import { DEBUG_TYPE } from "./sessions";

/** Keys that hold a path, which the adapter wants whole. */
const PATHS = ["program", "initrd"] as const;

/**
 * Launch configurations: F5 works without a launch.json, on the sample guest; paths may be relative
 * to the workspace folder. What the keys mean, and which there are, is the adapter's to say.
 */
export function registerConfigurations(extension: vscode.Uri): vscode.Disposable {
  const offered: vscode.DebugConfigurationProvider = {
    async provideDebugConfigurations() {
      return (await findSamples(extension)).map(sampleConfiguration);
    },
  };
  const resolving: vscode.DebugConfigurationProvider = {
    async resolveDebugConfiguration(_folder, config) {
      const empty = !config.type && !config.request && !config.name;
      if (!empty && config.program !== undefined) return config;
      if (!empty && config.request !== "launch") return config;
      const samples = await findSamples(extension);
      const sample =
        samples.length > 1
          ? (
              await vscode.window.showQuickPick(
                samples.map((s) => ({ label: s.name, description: s.program.fsPath, sample: s })),
                { title: "Penumbra: Choose a Sample Guest" },
              )
            )?.sample
          : samples[0];
      // `undefined` ends the start without a word: the person closed the list.
      return sample && { ...sampleConfiguration(sample), ...config };
    },
    resolveDebugConfigurationWithSubstitutedVariables(folder, config) {
      const resolved = { ...config };
      for (const key of PATHS) {
        const file: unknown = config[key];
        if (typeof file === "string" && folder && !path.isAbsolute(file)) {
          resolved[key] = path.join(folder.uri.fsPath, file);
        }
      }
      return resolved;
    },
  };
  return vscode.Disposable.from(
    vscode.debug.registerDebugConfigurationProvider(
      DEBUG_TYPE,
      offered,
      vscode.DebugConfigurationProviderTriggerKind.Dynamic,
    ),
    vscode.debug.registerDebugConfigurationProvider(DEBUG_TYPE, resolving),
  );
}
