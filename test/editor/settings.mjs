/** User settings of a workbench that asks nothing and shows only what is about debugging. */
export const quietSettings = {
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.welcomePage.walkthroughs.openOnInstall": false,
  "workbench.enableExperiments": false,
  "workbench.settings.enableNaturalLanguageSearch": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "chat.disableAIFeatures": true,
  "chat.commandCenter.enabled": false,
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": false,
  "extensions.ignoreRecommendations": true,
  "update.mode": "none",
  "git.enabled": false,
  "typescript.disableAutomaticTypeAcquisition": true,
  "editor.minimap.enabled": false,
  "debug.toolBarLocation": "docked",
  "debug.onTaskErrors": "debugAnyway",
  "workbench.colorTheme": "Default Dark Modern",
};

/** The same without movement, for screenshots that can be compared. */
export const stillSettings = {
  ...quietSettings,
  "workbench.reduceMotion": "on",
  "editor.cursorBlinking": "solid",
  "files.simpleDialog.enable": true,
};
