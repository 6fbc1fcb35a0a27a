// The log as a client follows it: heads that only grow, and what is proved under them.

import { fromHex, isHex, toHex } from "../bytes.js";
import { parseBundleProof, verifyInBundle } from "../bundle-tree.js";
import type { Event } from "../event.js";
import { isArray, isCount, type Json, type JsonObject } from "../json.js";
import { encodeEntry, logLeaf, parseEntry, stateCommit, verifyConsistency, verifyInclusion, type Entry, type Head } from "../log.js";
import { parseStateProof, stateKey, verifyStateProof } from "../state-tree.js";
import { parseSth, verifySth, type Sth } from "../sth.js";
import { demand, Unproven } from "./fault.js";

/** Entry `leaf_index`, shown to be in the tree of `sth`. */
export interface ProvenEntry {
  readonly entry: Entry;
  readonly leaf_index: number;
  readonly sth: Sth;
}

/** The STH in an answer, signed by `sequencer` over `enclave`. */
export function sthOf(value: Json | undefined, enclave: string, sequencer: string): Sth {
  const sth = parseSth(value);
  demand(sth !== undefined && sth.enclave === enclave && verifySth(sth, sequencer), "a tree head that the sequencer did not sign");
  return sth;
}

/** Refuses a head that does not continue `kept`; `path` fetches a consistency proof. */
export async function demandGrowth(kept: Sth | undefined, next: Sth, path: (from: number, to: number) => Promise<readonly string[]>): Promise<void> {
  if (kept === undefined) return;
  if (next.tree_size === kept.tree_size && next.root_hash !== kept.root_hash) {
    throw new Unproven("two histories of one size", [kept, next]);
  }
  demand(next.tree_size >= kept.tree_size, "the log was rolled back");
  if (next.tree_size === kept.tree_size) return;
  const proof = kept.tree_size === 0 ? [] : await path(kept.tree_size, next.tree_size);
  if (!verifyConsistency(kept as Head, next as Head, proof)) throw new Unproven("the log was rewritten", [kept, next]);
}

/** The path in the answer of the consistency route. */
export function pathOf(value: Json | undefined): readonly string[] {
  demand(isArray(value) && value.every((hash) => isHex(hash, 32)), "a path that is none");
  return value as readonly string[];
}

/** The entry of an inclusion or state answer, proved under `sth`. The size is the STH's: a path does not bind it. */
export function provenEntry(answer: JsonObject, sth: Sth): ProvenEntry {
  const entry = parseEntry(answer.entry);
  const { leaf_index, tree_size } = answer;
  demand(tree_size === sth.tree_size, "a proof for another tree than the newest");
  demand(entry !== undefined && isCount(leaf_index) && leaf_index < sth.tree_size, "no entry of this tree");
  const leaf = toHex(logLeaf(encodeEntry(entry)));
  demand(verifyInclusion(leaf, leaf_index, sth.tree_size, pathOf(answer.audit_path), sth.root_hash), "the entry is not in the log");
  return { entry, leaf_index, sth };
}

/** Checks that `event`, itself verified, is in the bundle of `proven`. */
export function demandInBundle(answer: JsonObject, proven: ProvenEntry, event: Event): void {
  const { first_seq, count, events_root } = proven.entry;
  const proof = answer.bundle === undefined ? undefined : parseBundleProof(answer.bundle);
  const index = event.seq - first_seq;
  const holds = proof !== undefined && index >= 0 && proof.event_id === event.id && verifyInBundle(proof, index, count, events_root);
  demand(holds, "the event is not in the bundle that covers its seq");
}

/** The values of `keys` in an answer of the state routes, proved under the entry. */
export function stateValues(answer: JsonObject, proven: ProvenEntry, keys: readonly StateName[]): readonly (Uint8Array | undefined)[] {
  const { state_hash, last_event_hash } = answer;
  const committed =
    isHex(state_hash, 32) && isHex(last_event_hash, 32) && stateCommit(last_event_hash, state_hash) === proven.entry.state_commit;
  demand(committed, "a state that the log does not hold");
  const proofs = isArray(answer.proofs) ? answer.proofs : [answer.proof ?? null];
  demand(proofs.length === keys.length, "another number of proofs than was asked for");
  return keys.map(({ namespace, raw }, i) => {
    const proof = parseStateProof(proofs[i] as Json);
    const holds = proof !== undefined && verifyStateProof(proof, stateKey(namespace, raw), state_hash as string);
    demand(holds, "a state proof that does not hold");
    return proof.v === null ? undefined : fromHex(proof.v);
  });
}

/** A leaf of the state by its raw key. */
export interface StateName {
  readonly namespace: number;
  readonly raw: Uint8Array;
}
