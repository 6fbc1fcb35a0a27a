// An enclave that the referee holds: its ledger, its key, and what it has signed.

import { verifyCommit, type Commit } from "../commit.js";
import { receiptOf, seal, type Event, type Receipt } from "../event.js";
import type { Keypair } from "../key.js";
import { logSeed, originOf, signCheckpoint, vkey } from "../note.js";
import { Refusal } from "../refusal.js";
import { encodeSnapshot } from "../snapshot.js";
import { signSth, type Sth } from "../sth.js";
import type { Ledger } from "../kernel/index.js";

/** An STH older than this is signed again when somebody asks; milliseconds. */
const STALE_MS = 60_000;

/** What others want to hear of. */
export interface Listener {
  appended(hosted: Hosted, event: Event): void;
  closed(hosted: Hosted): void;
}

export class Hosted {
  private sth: Sth | undefined;
  private note: string | undefined;

  /** `key` is undefined where the log is served read-only. */
  constructor(
    readonly ledger: Ledger,
    private readonly key: Keypair | undefined,
    private readonly listener: Listener,
    signed?: Sth,
  ) {
    this.sth = signed;
  }

  get id(): string {
    return this.ledger.id;
  }

  get live(): boolean {
    return this.key !== undefined;
  }

  /** The key that sessions are made for. */
  get sequencer(): string {
    return this.ledger.sequencer;
  }

  /** The key, for what is sealed to it. */
  get sequencerKey(): Keypair | undefined {
    return this.key;
  }

  get logVkey(): string | undefined {
    return this.key === undefined ? undefined : vkey(originOf(this.id), logSeed(this.key, this.id));
  }

  /** Closes what is due at `now`. */
  tick(now: number): void {
    if (this.live && this.ledger.closeDue(now)) this.signClosed();
  }

  /** Steps 2 to 12 for a commit of the right shape. */
  submit(commit: Commit, now: number, isSequencer: (key: string) => boolean): Receipt {
    this.tick(now);
    const t = this.ledger.timeFor(commit, now);
    verifyCommit(commit, this.ledger.eventByHash(commit.hash)?.sig === commit.sig);
    return this.sequence(commit, t, isSequencer);
  }

  /** Steps 5 to 12. */
  sequence(commit: Commit, t: number, isSequencer: (key: string) => boolean): Receipt {
    const { ledger } = this;
    ledger.refuseEarly(commit);
    const { key } = this;
    if (key === undefined) throw new Refusal("read_only");
    const { place, effect } = ledger.draft(commit, t, isSequencer);
    const event = seal(key, commit, place);
    if (event.seq === 0) this.sign(0, t, ledger.root(), 0);
    const closed = ledger.append(event, effect);
    if (closed) this.signClosed();
    this.listener.appended(this, event);
    return receiptOf(event);
  }

  /** Closes the open bundle at `now`, if an event is in it. */
  closeBundle(now: number): void {
    if (!this.live) throw new Refusal("read_only");
    this.tick(now);
    if (this.ledger.openCount === 0) return;
    this.ledger.close(Math.max(now, this.ledger.lastEvent?.timestamp ?? 0));
    this.signClosed();
  }

  /** The newest STH; signed again where it is old. */
  newestSth(now: number): Sth {
    this.tick(now);
    const newest = this.sth as Sth;
    if (this.live && this.ledger.status !== "migrated" && now - newest.timestamp > STALE_MS) {
      this.sth = signSth(this.key as Keypair, { ...newest, timestamp: now });
    }
    return this.sth as Sth;
  }

  /** The newest checkpoint; undefined for a log that is served read-only. */
  checkpoint(): string | undefined {
    return this.note;
  }

  snapshot(now: number): Uint8Array {
    const sth = this.newestSth(now);
    const bundles = this.ledger.bundles.map(({ entry }) => entry.count);
    return encodeSnapshot({ events: this.ledger.events, bundles, sth, seqPub: sth.sequencer });
  }

  /** Signs the tree that was taken over. */
  signTakenOver(now: number): void {
    const timestamp = Math.max(now, this.sth?.timestamp ?? 0);
    this.sign(this.ledger.bundles.length, timestamp, this.ledger.root(), 0);
  }

  private signClosed(): void {
    const last = this.ledger.bundles[this.ledger.bundles.length - 1];
    this.sign(this.ledger.bundles.length, last?.closedAt ?? 0, this.ledger.root(), this.sth?.timestamp ?? 0);
    this.listener.closed(this);
  }

  private sign(tree_size: number, timestamp: number, root_hash: string, atLeast: number): void {
    const key = this.key as Keypair;
    this.sth = signSth(key, { enclave: this.id, timestamp: Math.max(timestamp, atLeast), tree_size, root_hash });
    this.note = signCheckpoint(key, this.id, { tree_size, root_hash });
  }
}
