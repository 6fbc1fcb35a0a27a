// One enclave: its events, state and log, and the pure part of the pipeline (spec section 3, steps 2 and 5 to 11).

import { be256, fromHex, toHex } from "../bytes.js";
import { eventsRoot } from "../bundle-tree.js";
import { enclaveId, SKEW_MS, type Commit } from "../commit.js";
import { eventHash, NO_EVENT, receiptOf, withoutContent, type Event, type Place } from "../event.js";
import { contentHash } from "../hash.js";
import { encodeEntry, Log, logLeaf, stateCommit, type Entry } from "../log.js";
import { Refusal } from "../refusal.js";
import { gateKey, lifecycleKey, Namespace, StateTree } from "../state-tree.js";
import { Departures } from "./departures.js";
import { judgeTime } from "./expiry.js";
import { judge, type Effect } from "./judge.js";
import { gatedRows, maskOf, type Manifest } from "./manifest.js";
import { parseManifest } from "./manifest-rules.js";
import { applyChanges } from "./moves.js";
import { RawKeys } from "./raw-keys.js";
import { Roles } from "./roles.js";

export type Status = "active" | "paused" | "terminated" | "migrated";

const LIFECYCLE_VALUE = { active: 0n, paused: 1n, terminated: 2n, migrated: 3n } as const;
const OPEN = new Uint8Array(32).fill(1);

/** A closed bundle: its entry, and the state after its last event. */
export interface ClosedBundle {
  readonly entry: Entry;
  readonly state: StateTree;
  readonly lastEventHash: string;
  /** When it closed; the time of the tree head that says so. */
  readonly closedAt: number;
}

/** A commit that passed step 8, and the place it gets. `append` takes it once the sequencer has signed. */
export interface Draft {
  readonly commit: Commit;
  readonly place: Omit<Place, "sequencer">;
  readonly effect: Effect;
}

export class Ledger {
  readonly events: Event[] = [];
  readonly bundles: ClosedBundle[] = [];
  readonly log = new Log();
  readonly roles: Roles;
  readonly departures: Departures;
  readonly typeCounts = new Map<string, number>();
  status: Status = "active";
  /** The key that orders this enclave; after a Migrate still the old one, until the new one takes over. */
  sequencer: string;
  /** Every key that has ordered this enclave so far. */
  readonly sequencers: Set<string>;
  /** After a Migrate: the key that it names. */
  newSequencer: string | undefined;
  state = StateTree.empty;
  private readonly byId = new Map<string, number>();
  private readonly byHash = new Map<string, number>();
  private readonly rawKeys = new RawKeys();
  private readonly referring = new Map<string, number[]>();
  private readonly deleted = new Set<number>();
  lastEventHash = NO_EVENT;

  private constructor(
    readonly id: string,
    readonly manifest: Manifest,
    /** Whether the id follows from the Manifest. */
    readonly bound: boolean,
  ) {
    this.roles = Roles.of(manifest);
    this.departures = new Departures(manifest);
    this.sequencer = manifest.sequencer;
    this.sequencers = new Set([manifest.sequencer]);
  }

  /**
   * Judges a Manifest commit whose hash and signature hold: its `enclave`, then its content, then its sequencer. `provisioned`
   * says that the operator gave this id. Nothing is appended yet.
   */
  static found(commit: Commit, sequencer: string | undefined, provisioned: boolean): Ledger {
    const bound = enclaveId(commit.from, contentHash(commit.content), commit.tags) === commit.enclave;
    if (!bound && !provisioned) throw new Refusal("invalid_manifest", { path: "enclave" });
    const manifest = parseManifest(commit.content, commit.from);
    if (sequencer !== undefined && manifest.sequencer !== sequencer) throw new Refusal("invalid_manifest", { path: "sequencer" });
    return new Ledger(commit.enclave, manifest, bound);
  }

  get lastEvent(): Event | undefined {
    return this.events[this.events.length - 1];
  }

  /** Events of the open bundle. */
  get openCount(): number {
    return this.events.length - this.bundledCount;
  }

  /** Events in closed bundles. */
  get bundledCount(): number {
    const last = this.bundles[this.bundles.length - 1]?.entry;
    return last === undefined ? 0 : last.first_seq + last.count;
  }

  /** When the open bundle's time is up; undefined while it is empty. */
  get due(): number | undefined {
    const first = this.events[this.bundledCount];
    return first === undefined ? undefined : first.timestamp + this.manifest.bundle.timeout;
  }

  eventById(id: string): Event | undefined {
    const seq = this.byId.get(id);
    return seq === undefined ? undefined : this.events[seq];
  }

  eventByHash(hash: string): Event | undefined {
    const seq = this.byHash.get(hash);
    return seq === undefined ? undefined : this.events[seq];
  }

  /** Whether a Delete in this log took the content of event `seq` away. */
  isDeleted(seq: number): boolean {
    return this.deleted.has(seq);
  }

  /** Hex root of the log. */
  root(): string {
    return toHex(this.log.root());
  }

  /** Step 2: the time that the commit is judged by. `now` is the host's clock. Throws `clock_behind`, `expired`, `exp_too_far`. */
  timeFor(commit: Commit, now: number): number {
    return judgeTime(commit, now, this.lastEvent?.timestamp);
  }

  /** Closes the open bundle if its time is up at `now`; true if so. */
  closeDue(now: number): boolean {
    const { due } = this;
    if (due === undefined || now < due) return false;
    this.close(due);
    return true;
  }

  /** Steps 5 to 9 without the signature. `isSequencer` tells the keys that may not be authors here. Changes nothing. */
  draft(commit: Commit, t: number, isSequencer: (key: string) => boolean): Draft {
    this.refuseEarly(commit);
    if (isSequencer(commit.from) && commit.type !== "Reg_Node") throw new Refusal("unauthorized");
    if (commit.type === "Manifest" && this.events.length > 0) this.refuseManifest(commit);
    const effect = judge(this, commit);
    for (const write of effect.writes) this.rawKeys.refuseTaken(write);
    return { commit, place: this.nextPlace(commit.type, t), effect };
  }

  /** Steps 5 and 6: `duplicate`, and what the lifecycle refuses. */
  refuseEarly(commit: Commit): void {
    const stored = this.eventByHash(commit.hash);
    if (stored !== undefined) {
      throw new Refusal("duplicate", stored.sig === commit.sig ? { receipt: { ...receiptOf(stored) } } : {});
    }
    this.refuseByLifecycle(commit.type);
  }

  /** What `Recovered` by the sequencer changes: nothing but the log. */
  draftRecovered(commit: Commit, t: number): Draft {
    const { from, content, exp, tags } = commit;
    const expected = contentHash({ prev_seq: this.events.length - 1 });
    const sound = from === this.sequencer && exp === t + SKEW_MS && tags.length === 0 && contentHash(content) === expected;
    if (!sound || this.status === "terminated" || this.status === "migrated") throw new Refusal("unauthorized");
    return { commit, place: this.nextPlace(commit.type, t), effect: { writes: [], changes: [] } };
  }

  /** Steps 10 and 11: takes a sealed event. Returns whether its bundle closed with it. */
  append(event: Event, effect: Effect): boolean {
    this.events.push(event);
    this.byId.set(event.id, event.seq);
    this.byHash.set(event.hash, event.seq);
    this.typeCounts.set(event.type, event.type_seq + 1);
    this.lastEventHash = eventHash(event, event);
    if (this.status === "migrated") this.setStatus("active");
    if (event.seq === 0) this.writeInit();
    this.departures.before(this.roles, event);
    applyChanges(this.roles, effect.changes);
    this.departures.after(this.roles, event);
    for (const change of effect.changes) {
      if (change.kind === "mask") this.writeMask(change.identity, change.mask);
      else this.write({ namespace: Namespace.enclave, raw: gateKey(change.alias), value: change.open ? OPEN : null });
    }
    for (const write of effect.writes) this.write({ ...write, value: write.value === "id" ? fromHex(event.id) : write.value });
    if (effect.refers !== undefined) this.refer(effect.refers, event.seq, effect.deletes === true);
    if (effect.status !== undefined) this.setStatus(effect.status);
    if (effect.newSequencer !== undefined) this.newSequencer = effect.newSequencer;
    return this.closeFull(event);
  }

  /** Closes the open bundle at `t`; there is an event in it. */
  close(t: number): void {
    const first_seq = this.bundledCount;
    const ids = this.events.slice(first_seq).map(({ id }) => id);
    const state_commit = stateCommit(this.lastEventHash, this.state.rootHash());
    const entry = { events_root: eventsRoot(ids), state_commit, first_seq, count: ids.length };
    const before = this.bundles[this.bundles.length - 1]?.closedAt ?? 0;
    this.log.append(logLeaf(encodeEntry(entry)));
    this.bundles.push({ entry, state: this.state, lastEventHash: this.lastEventHash, closedAt: Math.max(before, t) });
  }

  /** The ids of closed bundle `index`. */
  idsOf(index: number): string[] {
    const { first_seq, count } = (this.bundles[index] as ClosedBundle).entry;
    return this.events.slice(first_seq, first_seq + count).map(({ id }) => id);
  }

  /** Which closed bundle `seq` is in. */
  bundleOf(seq: number): number | undefined {
    const index = this.bundles.findIndex(({ entry }) => seq < entry.first_seq + entry.count);
    return index < 0 ? undefined : index;
  }

  /** The event that an Update or Delete refers to. */
  referredBy(event: Event): Event | undefined {
    if (event.type !== "Update" && event.type !== "Delete") return undefined;
    const id = event.tags.find((tag) => tag[0] === "r")?.[1];
    return id === undefined ? undefined : this.eventById(id);
  }

  /** What the enclave is as it would answer: Active again once a Migrate was taken up, though no event has followed it. */
  get statusNow(): Status {
    return this.status === "migrated" && this.newSequencer === undefined ? "active" : this.status;
  }

  /** Takes over after a Migrate: the new key orders from here on. */
  takeOver(): void {
    if (this.newSequencer === undefined) throw new Error("no Migrate to take up");
    this.sequencer = this.newSequencer;
    this.sequencers.add(this.sequencer);
    this.newSequencer = undefined;
  }

  private refuseByLifecycle(type: string): void {
    if (this.status === "terminated") throw new Refusal("enclave_terminated");
    if (this.status === "migrated" && this.newSequencer !== undefined) {
      throw new Refusal("enclave_migrated", { new_sequencer: this.newSequencer });
    }
    if (this.status === "paused" && !["Resume", "Terminate", "Migrate"].includes(type)) throw new Refusal("enclave_paused");
  }

  private refuseManifest(commit: Commit): never {
    const id = enclaveId(commit.from, contentHash(commit.content), commit.tags);
    if (id !== commit.enclave && this.bound) throw new Refusal("invalid_manifest", { path: "enclave" });
    throw new Refusal("enclave_exists");
  }

  private nextPlace(type: string, t: number): Omit<Place, "sequencer"> {
    return { seq: this.events.length, type_seq: this.typeCounts.get(type) ?? 0, timestamp: t, prev: this.lastEventHash };
  }

  private closeFull(event: Event): boolean {
    const full = this.openCount >= this.manifest.bundle.size;
    if (!full && event.type !== "Migrate" && event.type !== "Terminate") return false;
    this.close(event.timestamp);
    return true;
  }

  private writeInit(): void {
    for (const { identity, state, traits } of this.manifest.init) {
      const mask = maskOf(this.manifest, state, traits);
      this.roles.setMask(identity, mask);
      this.writeMask(identity, mask);
    }
    for (const { alias, gate } of gatedRows(this.manifest)) {
      if (!gate.open) continue;
      this.roles.setOpen(alias, true);
      this.write({ namespace: Namespace.enclave, raw: gateKey(alias), value: OPEN });
    }
  }

  private setStatus(status: Status): void {
    this.status = status;
    const value = status === "active" ? null : be256(LIFECYCLE_VALUE[status]);
    this.write({ namespace: Namespace.enclave, raw: lifecycleKey, value });
  }

  private writeMask(identity: string, mask: bigint): void {
    this.write({ namespace: Namespace.identity, raw: fromHex(identity), value: mask === 0n ? null : be256(mask) });
  }

  private write(leaf: { namespace: number; raw: Uint8Array; value: Uint8Array | null }): void {
    this.state = this.rawKeys.write(this.state, leaf);
  }

  /** Remembers that an Update or Delete refers to event `id`, and takes the content away from what is deleted. */
  private refer(id: string, seq: number, deletes: boolean): void {
    const about = this.referring.get(id) ?? [];
    this.referring.set(id, about);
    if (!deletes) {
      about.push(seq);
      return;
    }
    for (const gone of [this.byId.get(id) as number, ...about]) {
      this.deleted.add(gone);
      this.events[gone] = withoutContent(this.events[gone] as Event);
    }
  }
}
