// How steps 7 and 8 answer (spec section 4.3): refusals in a fixed order, and what an accepted event changes.

import { Refusal, type Code } from "../refusal.js";

/** A change of the roles or gates. */
export type RoleChange =
  | { readonly kind: "mask"; readonly identity: string; readonly mask: bigint }
  | { readonly kind: "gate"; readonly alias: string; readonly open: boolean };

const ORDER: readonly Code[] = ["unauthorized", "not_found", "rank_too_low", "bad_state", "gate_closed"];

/** How one rule judges: the change that it admits, or the code that it stops at. */
export type Judged<T> = { readonly passed: T } | { readonly stopped: Code };

/** The first rule that passes; else the answer of the rule that got furthest; without a rule `unauthorized`. */
export function settle<T>(judged: readonly Judged<T>[]): T {
  let furthest: Code = "unauthorized";
  for (const one of judged) {
    if ("passed" in one) return one.passed;
    if (ORDER.indexOf(one.stopped) > ORDER.indexOf(furthest)) furthest = one.stopped;
  }
  throw new Refusal(furthest);
}
