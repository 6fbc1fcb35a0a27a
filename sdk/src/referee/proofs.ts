// Proofs as the routes answer them (spec section 7).

import { parseHex, toHex } from "../bytes.js";
import { proveInBundle } from "../bundle-tree.js";
import { misshapen, refuseOthers } from "../commit.js";
import { isArray, isCount, isObject, type Json, type JsonObject } from "../json.js";
import { isHex } from "../bytes.js";
import { Refusal } from "../refusal.js";
import { stateKey } from "../state-tree.js";
import { Reading, type ClosedBundle } from "../kernel/index.js";
import type { Hosted } from "./hosted.js";

const MAX_ITEMS = 256;
/** Members that every request with a session may have. */
const ENVELOPE = ["enclave", "from", "session"];

export type ProofAction = "inclusion" | "bundle" | "state" | "state-batch";

/** Answers a proof request; `reader` has proved its session. */
export function prove(hosted: Hosted, action: ProofAction, body: JsonObject, reader: string | null, now: number): JsonObject {
  const proofs = new Proofs(hosted, new Reading(hosted.ledger, reader), now);
  switch (action) {
    case "inclusion":
      return proofs.inclusion(body);
    case "bundle":
      return proofs.bundle(body);
    case "state":
      return proofs.state(body);
    case "state-batch":
      return proofs.stateBatch(body);
  }
}

class Proofs {
  constructor(
    private readonly hosted: Hosted,
    private readonly reading: Reading,
    private readonly now: number,
  ) {}

  inclusion(body: JsonObject): JsonObject {
    refuseOthers(body, [...ENVELOPE, "event_id", "leaf_index", "tree_size"]);
    const size = sizeOf(body.tree_size);
    const { event_id, leaf_index } = body;
    if ((event_id === undefined) === (leaf_index === undefined)) misshapen("event_id");
    if (leaf_index !== undefined && !isCount(leaf_index)) misshapen("leaf_index");
    if (leaf_index !== undefined && !this.reading.readsAnything()) throw new Refusal("unauthorized");
    const seq = event_id === undefined ? undefined : this.readableSeq(event_id);
    const { bundles } = this.hosted.ledger;
    if (size !== undefined && size > bundles.length) throw new Refusal("not_found");
    const index = seq === undefined ? (leaf_index as number) : this.hosted.ledger.bundleOf(seq);
    if (index !== undefined && index >= bundles.length) throw new Refusal("not_found");
    const tree = size ?? bundles.length;
    if (index === undefined || index >= tree) throw new Refusal("not_bundled");
    const bundle = seq === undefined ? {} : { bundle: { ...this.membership(seq, index) } };
    return { ...this.place(index, tree), ...bundle, sth: { ...this.hosted.newestSth(this.now) } };
  }

  bundle(body: JsonObject): JsonObject {
    refuseOthers(body, [...ENVELOPE, "event_id"]);
    const seq = this.readableSeq(body.event_id);
    const index = this.hosted.ledger.bundleOf(seq);
    if (index === undefined) throw new Refusal("not_bundled");
    const { events_root } = (this.hosted.ledger.bundles[index] as ClosedBundle).entry;
    return { ...this.membership(seq, index), events_root, leaf_index: index };
  }

  state(body: JsonObject): JsonObject {
    refuseOthers(body, [...ENVELOPE, "namespace", "key", "tree_size"]);
    const key = keyOf(body);
    const { state, answer } = this.newestState(sizeOf(body.tree_size));
    return { ...answer, proof: { ...state.prove(key) } };
  }

  stateBatch(body: JsonObject): JsonObject {
    refuseOthers(body, [...ENVELOPE, "items", "tree_size"]);
    const { items } = body;
    if (!isArray(items)) misshapen("items");
    if (items.length > MAX_ITEMS) throw new Refusal("limit_exceeded", { limit: MAX_ITEMS });
    const keys = items.map((item) => {
      if (!isObject(item)) misshapen("items");
      refuseOthers(item, ["namespace", "key"]);
      return keyOf(item);
    });
    const { state, answer } = this.newestState(sizeOf(body.tree_size));
    return { ...answer, proofs: keys.map((key) => ({ ...state.prove(key) })) };
  }

  private newestState(size: number | undefined) {
    const { bundles } = this.hosted.ledger;
    if (!this.reading.readsAnything()) throw new Refusal("unauthorized");
    if (size === 0 || (size !== undefined && size > bundles.length)) throw new Refusal("not_found");
    if (bundles.length === 0) throw new Refusal("not_bundled");
    const index = (size ?? bundles.length) - 1;
    const { state, lastEventHash } = bundles[index] as ClosedBundle;
    const answer = {
      ...this.place(index, index + 1),
      state_hash: state.rootHash(),
      last_event_hash: lastEventHash,
      sth: { ...this.hosted.newestSth(this.now) },
    };
    return { state, answer };
  }

  private place(leaf_index: number, tree_size: number): JsonObject {
    const { log, bundles } = this.hosted.ledger;
    const entry = { ...(bundles[leaf_index] as ClosedBundle).entry };
    return { leaf_index, tree_size, entry, audit_path: log.inclusion(leaf_index, tree_size).map(toHex) };
  }

  private membership(seq: number, index: number) {
    const { ledger } = this.hosted;
    return proveInBundle(ledger.idsOf(index), seq - (ledger.bundles[index] as ClosedBundle).entry.first_seq);
  }

  private readableSeq(id: Json | undefined): number {
    if (!isHex(id, 32)) misshapen("event_id");
    if (!this.reading.readsAnything()) throw new Refusal("unauthorized");
    const event = this.hosted.ledger.eventById(id);
    if (event === undefined || !this.reading.mayRead(event)) throw new Refusal("not_found");
    return event.seq;
  }
}

function sizeOf(value: Json | undefined): number | undefined {
  if (value !== undefined && !isCount(value)) misshapen("tree_size");
  return value;
}

function keyOf({ namespace, key }: JsonObject): string {
  if (!isCount(namespace) || namespace > 3) misshapen("namespace");
  const raw = typeof key === "string" ? parseHex(key) : undefined;
  if (raw === undefined) misshapen("key");
  return stateKey(namespace, raw);
}
