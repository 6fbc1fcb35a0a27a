// Evidence of equivocation (spec section 5): two statements of one key that cannot both be true.

import { verifyReceipt, eventHash, type Event, type Receipt } from "./event.js";
import { verifySth, type Sth } from "./sth.js";

/** Whether `a` and `b` are two valid words of `sequencer` for one place over different hashes. */
export function receiptsContradict(a: Receipt | Event, b: Receipt | Event, sequencer: string): boolean {
  return (
    a.enclave === b.enclave && a.seq === b.seq && eventHash(a, a) !== eventHash(b, b) &&
    [a, b].every((sealed) => verifyReceipt(sealed as Receipt, sequencer))
  );
}

/** Whether `a` and `b` are two valid heads of one size and different roots. */
export function headsContradict(a: Sth, b: Sth, sequencer: string): boolean {
  return (
    a.enclave === b.enclave && a.tree_size === b.tree_size && a.root_hash !== b.root_hash &&
    verifySth(a, sequencer) && verifySth(b, sequencer)
  );
}
