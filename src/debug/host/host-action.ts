import { HOST_ACTIONS, type HostAction } from "../../host";
import { hva } from "../../x86";
import { evaluate } from "../expression/evaluate";
import { oneLine } from "../expression/problem";
import type { Scope } from "../expression/scope";
import { nearest } from "../nearest";

/** What came of something the host was told to do: a sentence either way. */
export type HostAnswer =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: string };

export const done = (text: string): HostAnswer => ({ ok: true, text });
export const notDone = (why: string): HostAnswer => ({ ok: false, why });
/** KVM or the host does not do it: why, with the errno where there is one. */
export const refusedBy = (reason: string, errno?: string): HostAnswer =>
  notDone(asSentence(errno ? `${reason} (${errno})` : reason));

/** With a capital and a full stop; what an address is an address of is a name, and stays as it is. */
export const asSentence = (text: string): string =>
  /^[gh][pv]a\b/.test(text) ? `${text}.` : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

export const NO_HOST =
  'There is no host under the guest with "mmu": "none": start with "mmu": "shadow".';

/** An action as a menu offers it. */
export interface OfferedAction {
  readonly action: HostAction;
  readonly title: string;
  readonly about: string;
}

/** Every action, in the order of the table. */
export const offeredActions = (): readonly OfferedAction[] =>
  (Object.keys(HOST_ACTIONS) as HostAction[]).map((action) => {
    const { title, about } = HOST_ACTIONS[action];
    return { action, title, about };
  });

/** Does an action to the page of the host process behind an address of any space, given as an expression. */
export function performAction(action: string, address: string, scope: Scope): HostAnswer {
  const { host } = scope.machine;
  if (!host) return notDone(NO_HOST);
  const known = offeredActions().find((offered) => offered.action === action);
  if (!known) {
    const names = offeredActions().map((offered) => offered.action);
    const near = nearest(action, names);
    return notDone(
      `The host cannot "${action}"${near ? `: did you mean "${near}"?` : `: choose one of ${names.join(", ")}.`}`,
    );
  }
  const at = evaluate(`hva(${address})`, scope);
  if (!at.ok) return notDone(oneLine(at.problem));
  if (at.value.kind === "fault") return notDone(`${address}: ${at.value.text}`);
  if (at.value.kind !== "address")
    return notDone(`${address} is no address: give one, gpa:0x3000 say.`);
  const before = leafCount(scope);
  const outcome = host.perform(known.action, hva(Number(at.value.value)));
  if (outcome.kind === "refused") return refusedBy(outcome.reason);
  const page = at.value.value & ~0xfffn;
  const what = outcome.note ?? `hva 0x${page.toString(16)} ${HOST_ACTIONS[known.action].did}`;
  const gone = before - leafCount(scope);
  return done(
    `${what}; ${gone === 0 ? "no spte" : gone === 1 ? "1 spte" : `${gone} sptes`} dropped.`,
  );
}

/** Sptes that map a page, of all sizes: a host action only ever takes some away. */
function leafCount({ machine }: Scope): number {
  const stats = machine.vm?.stats;
  return stats ? stats.pages_4k + stats.pages_2m + stats.pages_1g : 0;
}
