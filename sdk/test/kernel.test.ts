// Every group of the vectors that needs the kernel.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, parseBase64, toBase64, toHex, be256 } from "../src/bytes.js";
import { proveInBundle } from "../src/bundle-tree.js";
import { signCommit, signManifest, type Commit, type Tags } from "../src/commit.js";
import { receiptOf, seal, type Event } from "../src/event.js";
import { sha256 } from "../src/hash.js";
import { jcs, type Json } from "../src/json.js";
import { Keypair } from "../src/key.js";
import { encodeEntry, type Entry } from "../src/log.js";
import { signCheckpoint } from "../src/note.js";
import { Refusal } from "../src/refusal.js";
import { decodeSnapshot, encodeSnapshot } from "../src/snapshot.js";
import { stateKey } from "../src/state-tree.js";
import { signSth, type Sth } from "../src/sth.js";
import { Ledger, maskOf, mayTakeUp, parseManifest, replay, replayEvents, ReplayError } from "../src/kernel/index.js";
import { judge } from "../src/kernel/judge.js";
import { applyChanges } from "../src/kernel/moves.js";
import { cases, referred, type Case } from "./vectors.js";

const MINUTE = 60_000;

interface Step {
  readonly from: string;
  readonly type: string;
  readonly at: number;
  readonly content?: Json;
  readonly tags?: Tags;
  readonly exp?: number;
}

/** A ledger that a script has grown, with what the sequencer signed on the way. */
class Grown {
  readonly sths: Sth[] = [];
  readonly checkpoints: string[] = [];
  readonly stateRoots: string[] = [];
  ledger!: Ledger;
  readonly sequencer: Keypair;

  constructor(
    private readonly keys: { readonly [name: string]: string },
    private readonly manifest: Json,
  ) {
    this.sequencer = this.key("seq");
  }

  key(name: string): Keypair {
    return Keypair.fromHex(this.keys[name] as string);
  }

  commit(step: Step, known?: Event): Commit {
    // The golden file tells only the hash of content that was deleted later; such a commit is taken as it was signed.
    if (step.content === undefined && known?.deleted) return { ...known, content: null };
    const key = this.key(step.from);
    const exp = step.exp ?? known?.exp ?? step.at + MINUTE;
    const content = step.content ?? known?.content ?? (step.type === "Manifest" ? this.manifest : null);
    const tags = (step.tags ?? known?.tags ?? []).map((tag) => tag.map((text) => this.reference(text)));
    if (this.ledger === undefined) return signManifest(key, content, exp, tags);
    return signCommit(key, { enclave: this.ledger.id, type: step.type, content, exp, tags });
  }

  take(commit: Commit, now: number, known?: Event): void {
    const first = this.ledger === undefined;
    if (first) this.ledger = Ledger.found(commit, this.sequencer.pub, false);
    const { ledger } = this;
    if (ledger.closeDue(now)) this.signHead();
    const t = ledger.timeFor(commit, now);
    const { place, effect } = ledger.draft(commit, t, (key) => key === this.sequencer.pub);
    if (first) this.sign(0, t, ledger.root());
    const { content: _, ...sealed } = seal(this.sequencer, commit, place);
    const gone = commit.content === null && known?.deleted ? { content_hash: known.content_hash!, deleted: true as const } : undefined;
    if (ledger.append({ ...sealed, ...(gone ?? { content: commit.content }) }, effect)) this.signHead();
    this.stateRoots.push(ledger.state.rootHash());
  }

  private signHead(): void {
    const { bundles } = this.ledger;
    this.sign(bundles.length, bundles[bundles.length - 1]!.closedAt, this.ledger.root());
  }

  private sign(tree_size: number, timestamp: number, root_hash: string): void {
    this.sths.push(signSth(this.sequencer, { enclave: this.ledger.id, timestamp, tree_size, root_hash }));
    this.checkpoints.push(signCheckpoint(this.sequencer, this.ledger.id, { tree_size, root_hash }));
  }

  private reference(text: string): string {
    const [, seq] = /^\$([0-9]+)$/.exec(text) ?? [];
    return seq === undefined ? text : this.ledger.events[Number(seq)]!.id;
  }
}

/** Grows the enclave of a case of the group `enclave`, up to and with event `last`. */
function grow({ input, expected }: Case, last: number = Infinity): Grown {
  const grown = new Grown(input.keys, input.manifest);
  for (const [seq, step] of (input.script as Step[]).entries()) {
    if (seq <= last) grown.take(grown.commit(step, expected.events[seq]), step.at, expected.events[seq]);
  }
  return grown;
}

function refusalOf(judged: () => unknown): { error: string | null; path?: Json; index?: Json } {
  try {
    judged();
    return { error: null };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { path, index } = error.members;
    return { error: error.code, ...(path === undefined ? {} : { path }), ...(index === undefined ? {} : { index }) };
  }
}

function holds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof ReplayError) return false;
    throw error;
  }
}

/** An enclave whose Manifest is signed by nobody in particular: its first identity of `init`. */
function ledgerOf(manifest: any): Ledger {
  const signer = manifest.RBAC.init[0].identity;
  const commit = { hash: "00".repeat(32), enclave: "00".repeat(32), from: signer, type: "Manifest", content: manifest, exp: MINUTE, tags: [], sig: "00".repeat(64) };
  const ledger = Ledger.found(commit, undefined, true);
  const { place, effect } = ledger.draft(commit, 0, () => false);
  ledger.append(seal(Keypair.fromHex("44".repeat(32)), commit, place), effect);
  return ledger;
}

function judgeStep({ manifest, author, type, content }: any, expected: any): unknown {
  const ledger = ledgerOf(manifest);
  const commit: Commit = { hash: "11".repeat(32), enclave: ledger.id, from: author, type, content, exp: MINUTE, tags: [], sig: "00".repeat(64) };
  const answer = refusalOf(() => applyChanges(ledger.roles, judge(ledger, commit).changes));
  if (expected.bitmasks === undefined) return answer;
  const bitmasks = Object.keys(expected.bitmasks).map((identity) => [identity, toHex(be256(ledger.roles.mask(identity)))]);
  return { ...answer, bitmasks: Object.fromEntries(bitmasks) };
}

const entryOf = ({ entry }: { entry: Entry }): Entry => entry;

function judgeProofs(input: any, expected: any): unknown {
  const { ledger, sths, checkpoints } = grow(referred(input.of));
  const size = ledger.bundles.length;
  const place = (leaf_index: number) => ({
    leaf_index, tree_size: size, entry: entryOf(ledger.bundles[leaf_index]!),
    audit_path: ledger.log.inclusion(leaf_index, size).map(toHex),
  });
  const bundled = ledger.events.slice(0, ledger.bundledCount);
  return {
    receipts: ledger.events.map(receiptOf),
    sths,
    checkpoints,
    inclusion: bundled.map(({ seq }) => {
      const index = ledger.bundleOf(seq)!;
      return { ...place(index), bundle: proveInBundle(ledger.idsOf(index), seq - ledger.bundles[index]!.entry.first_seq) };
    }),
    state: input.state.map(({ leaf_index, namespace, key }: any) => {
      const { state, lastEventHash } = ledger.bundles[leaf_index]!;
      const proof = state.prove(stateKey(namespace, fromHex(key)));
      return { ...place(leaf_index), proof, state_hash: state.rootHash(), last_event_hash: lastEventHash };
    }),
    consistency: expected.consistency.map(({ from, to }: any) => ({ from, to, path: ledger.log.consistency(from, to).map(toHex) })),
  };
}

const JUDGES: { [group: string]: (input: any, expected: any, one: Case) => unknown } = {
  smt_bitmask: ({ states, traits, state, has }) => {
    const signer = "33".repeat(32);
    const moves = states.flatMap((name: string) => [
      { event: "Move", from: "OUTSIDER", to: name, operator: "Self", ops: ["C"] },
      { event: "Move", from: name, to: "OUTSIDER", operator: "Self", ops: ["C"] },
    ]);
    const RBAC = { states, traits, moves, init: [{ identity: signer, state: "OUTSIDER", traits: [] }] };
    const manifest = parseManifest({ enc_v: 2, sequencer: signer, RBAC } as Json, signer);
    return { value: toHex(be256(maskOf(manifest, state, has))) };
  },
  manifest: ({ from, manifest }) => refusalOf(() => parseManifest(manifest, from)),
  rank: judgeStep,
  step_8: judgeStep,
  enclave: (_, __, one) => {
    const { ledger, sths, stateRoots } = grow(one);
    const replayed = replayEvents(ledger.events, ledger.bundles.map(({ entry }) => entry.count));
    assert.equal(replayed.state.rootHash(), ledger.state.rootHash());
    return {
      enclave: ledger.id,
      events: ledger.events,
      state_root_after: stateRoots,
      entries: ledger.bundles.map(({ entry }) => toHex(encodeEntry(entry))),
      sth: sths[sths.length - 1],
    };
  },
  enclave_refused: ({ of, after_seq, step }) => {
    const grown = grow(referred(of), after_seq);
    return refusalOf(() => grown.take(grown.commit(step), step.at));
  },
  enclave_proofs: judgeProofs,
  chain_refused: ({ of, ids }) => {
    const { events } = grow(referred(of)).ledger;
    const chain = ids.map((id: string) => events.find((event) => event.id === id)!);
    return { valid: holds(() => replayEvents(chain, chain.map(() => 1))) };
  },
  snapshot: ({ of }) => {
    const { ledger, sths, sequencer } = grow(referred(of));
    const bundles = ledger.bundles.map(({ entry }) => entry.count);
    const bytes = encodeSnapshot({ events: ledger.events, bundles, sth: sths[sths.length - 1]!, seqPub: sequencer.pub });
    assert.equal(replay(decodeSnapshot(bytes)!).state.rootHash(), ledger.state.rootHash());
    return { length: bytes.length, sha256: toHex(sha256(bytes)), base64: toBase64(bytes) };
  },
  restore_bundles: ({ snapshot_base64 }) => {
    const snapshot = decodeSnapshot(parseBase64(snapshot_base64)!);
    return { valid: snapshot !== undefined && holds(() => replay(snapshot)) };
  },
  restore_after_migrate: ({ snapshot_base64, new_sequencer_priv, key_held, first, taken_up_before }) => {
    const ledger = replay(decodeSnapshot(parseBase64(snapshot_base64)!)!);
    const mine = key_held && ledger.newSequencer === Keypair.fromHex(new_sequencer_priv).pub;
    const live = mayTakeUp(ledger, { keyHeld: mine, first, takenUpBefore: taken_up_before });
    if (live) ledger.takeOver();
    return { live, status: ledger.statusNow, state_root: ledger.state.rootHash() };
  },
};

for (const [group, judgeGroup] of Object.entries(JUDGES)) {
  test(`vectors: ${group}`, () => {
    assert.ok(cases(group).length > 0);
    for (const one of cases(group)) {
      assert.equal(jcs(judgeGroup(one.input, one.expected, one)), jcs(one.expected), one.name);
    }
  });
}
