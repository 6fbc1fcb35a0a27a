// Which raw key each leaf of the state stands for (spec section 5).

import { toHex } from "../bytes.js";
import { Refusal } from "../refusal.js";
import { stateKey, type StateTree } from "../state-tree.js";

interface Name {
  readonly namespace: number;
  readonly raw: Uint8Array;
}

export class RawKeys {
  private readonly raws = new Map<string, string>();

  /** `bad_state` where another raw key has the leaf of this one. */
  refuseTaken({ namespace, raw }: Name): void {
    const taken = this.raws.get(stateKey(namespace, raw));
    if (taken !== undefined && taken !== toHex(raw)) throw new Refusal("bad_state");
  }

  /** The state with the leaf written, or without it. */
  write(state: StateTree, { namespace, raw, value }: Name & { readonly value: Uint8Array | null }): StateTree {
    const key = stateKey(namespace, raw);
    if (value === null) this.raws.delete(key);
    else this.raws.set(key, toHex(raw));
    return state.put(key, value);
  }
}
