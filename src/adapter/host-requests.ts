import { offeredActions, performAction } from "../debug";
import type { Debuggee } from "./debuggee";
import type { HostActionArguments, HostActionResponse, HostActionsResponse } from "./protocol";
import { type Refusal, refusals } from "./refusal";

/** What the host can be told to do to a page. */
export const hostActions = (): HostActionsResponse => ({ actions: offeredActions() });

/** The host does it; all that is shown of the guest's memory may be stale then. */
export function hostAction(
  debuggee: Debuggee,
  { action, address }: HostActionArguments,
): HostActionResponse | Refusal {
  const answer = performAction(action, address, debuggee.scope());
  if (!answer.ok) return refusals.host(answer.why);
  debuggee.edited();
  return { text: answer.text };
}
