import type { Debuggee } from "./debuggee";
import { consoleText } from "./expression-requests";
import type { Refusal } from "./refusal";

/** The client has said what it had to say: stop before the first instruction, or run. */
export function begin(debuggee: Debuggee): void {
  const { args, symbols } = debuggee;
  for (const problem of symbols.images.flatMap((image) => image.problems)) debuggee.log(problem);
  for (const command of args.init) debuggee.log(consoleText(debuggee, command));
  if (args.stopOnEntry) debuggee.announceStop("entry", "Stopped before the first instruction");
  else debuggee.run();
}

/** The same guest from its first instruction; breakpoints stay, and count their hits anew. */
export function restart(debuggee: Debuggee): Refusal | Record<string, never> {
  const refusal = debuggee.replaceMachine();
  if (refusal) return refusal;
  begin(debuggee);
  return {};
}
