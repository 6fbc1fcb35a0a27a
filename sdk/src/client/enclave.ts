// An enclave as a client sees it: everything that is handed out was verified.

import { isHex, toHex } from "../bytes.js";
import { signCommit, SKEW_MS, type Tags } from "../commit.js";
import { isReceiptFor, parseReceipt, verifyReceipt, type Event, type Receipt } from "../event.js";
import { isArray, isCount, type Json, type JsonObject } from "../json.js";
import type { Keypair } from "../key.js";
import { replay, ReplayError, type Ledger } from "../kernel/index.js";
import { verifyCheckpoint } from "../note.js";
import { verifyDelivery } from "../push.js";
import { decodeSnapshot } from "../snapshot.js";
import type { Sth } from "../sth.js";
import { Credentials } from "./credentials.js";
import { demand, demandOnly, NodeRefusal, Unproven } from "./fault.js";
import { NodeLink, type Fetch } from "./node.js";
import { Origin, type UnboundPin } from "./origin.js";
import { filterAfter, Sequence } from "./pages.js";
import { MemoryStore, type Kept, type Store } from "./store.js";
import { demandGrowth, demandInBundle, pathOf, provenEntry, stateValues, sthOf, type ProvenEntry, type StateName } from "./tree.js";

/** What a state proof's tree head may be old before the state counts as past; milliseconds, and the bundle's timeout beside. */
const FRESH_MS = 60_000;
/** Members of every answer that carries a proof. */
const PLACE = ["leaf_index", "tree_size", "audit_path", "entry", "sth"];

export interface Options {
  /** Who asks and commits; left out, only what is public can be had. */
  readonly key?: Keypair;
  /** Where heads and receipts are kept. In memory unless given: then a rollback between two runs goes unseen. */
  readonly store?: Store;
  /** Seal commits, queries and proofs from the path to the node. Needs a key. */
  readonly sealed?: boolean;
  /** For an id that no Manifest proves. */
  readonly unbound?: UnboundPin;
  /** Migrates of the enclave known from elsewhere. A node that it has moved to takes no session before they are known. */
  readonly migrates?: readonly Event[];
  /** Where the node of a sequencer is, for enclaves that have moved. */
  readonly locate?: (sequencer: string) => Promise<string | undefined>;
  readonly fetch?: Fetch;
  readonly now?: () => number;
}

export interface ProvenState {
  /** In the order of the names; undefined where the leaf is absent. */
  readonly values: readonly (Uint8Array | undefined)[];
  readonly leaf_index: number;
  /** Whether this is the newest closed state as far as the client can tell. */
  readonly current: boolean;
}

export class Enclave {
  /** The session of `options.key`. */
  readonly credentials: Credentials;

  private constructor(
    private link: NodeLink,
    readonly origin: Origin,
    private kept: Kept,
    private readonly options: Options,
  ) {
    this.credentials = new Credentials(options.key, () => origin.sequencer, () => this.now());
  }

  /** Opens `id` at a node: verifies its Manifest, and follows its Migrates. */
  static async open(url: string, id: string, options: Options = {}): Promise<Enclave> {
    demand(isHex(id, 32), "an id has 64 digits of lower-case hex");
    const link = new NodeLink(url, options.fetch);
    const origin = Origin.verify(id, await link.json("GET", `/enclaves/${id}/info/manifest`), options.unbound);
    const store = options.store ?? new MemoryStore();
    const kept = (await store.load(id)) ?? { receipts: [] };
    const enclave = new Enclave(link, origin, kept, { ...options, store });
    for (const event of options.migrates ?? []) origin.follow(origin.event(event));
    if (options.migrates === undefined && (await enclave.info()).status === "migrated") await enclave.learnMigrates();
    return enclave;
  }

  get id(): string {
    return this.origin.id;
  }

  /** The time that expiries and freshness are judged by; milliseconds. */
  now(): number {
    return this.options.now?.() ?? Date.now();
  }

  get key(): Keypair | undefined {
    return this.options.key;
  }

  /** The node that is asked at present. */
  get node(): NodeLink {
    return this.link;
  }

  /** What the node says of the enclave to anyone; nothing in it is proved. */
  info(): Promise<JsonObject> {
    return this.link.json("GET", `/enclaves/${this.id}/info/enclave`);
  }

  /** Commits and verifies the receipt. `exp` is the clock's minute unless given. */
  async commit(type: string, content: Json, more: { readonly tags?: Tags; readonly exp?: number } = {}): Promise<{ event: Event; receipt: Receipt }> {
    const { key } = this.options;
    if (key === undefined) throw new TypeError("committing needs a key");
    const exp = more.exp ?? this.now() + SKEW_MS;
    const commit = signCommit(key, { enclave: this.id, type, content, exp, ...(more.tags === undefined ? {} : { tags: more.tags }) });
    const { answer, fresh } = await this.submitted({ ...commit } as unknown as JsonObject);
    const receipt = parseReceipt(answer);
    demand(receipt !== undefined && isReceiptFor(receipt, commit), "a receipt for something else");
    demand(verifyReceipt(receipt, this.origin.sequencer), "a receipt that the sequencer did not sign");
    demand(!fresh || Math.abs(receipt.timestamp - this.now()) <= SKEW_MS, "a receipt of another time");
    await this.keep({ ...this.kept, receipts: [...this.kept.receipts, receipt] });
    const { type: _, ...place } = receipt;
    return { event: { ...commit, ...place, type }, receipt };
  }

  /** One page. `complete` says that the key may read every type: then a gap is an error. */
  query(filter: JsonObject = {}, complete: boolean = false): Promise<{ events: readonly Event[]; next: number | undefined }> {
    return this.page(filter, new Sequence(filter, complete));
  }

  /** Every event of `filter`, page by page. */
  async *events(filter: JsonObject = {}, complete: boolean = false): AsyncGenerator<Event> {
    const sequence = new Sequence(filter, complete);
    let page = await this.page(filter, sequence);
    for (;;) {
      yield* page.events;
      if (page.next === undefined) return;
      page = await this.page(filterAfter(filter, page.next), sequence);
    }
  }

  /** The newest tree head; refused unless it continues every head seen before. */
  async sth(): Promise<Sth> {
    return this.newest(await this.link.json("GET", `/enclaves/${this.id}/sth`));
  }

  /** The newest checkpoint, its line by the sequencer verified and its root that of the tree head of its size. */
  async checkpoint(): Promise<string> {
    const note = new TextDecoder().decode(await this.link.bytes(`/enclaves/${this.id}/checkpoint`));
    const head = verifyCheckpoint(note, this.id, this.origin.sequencer);
    demand(head !== undefined, "a checkpoint that the sequencer did not sign");
    const sth = await this.sth();
    if (head.tree_size === sth.tree_size) demand(head.root_hash === sth.root_hash, "checkpoint and tree head of one size differ");
    else await demandGrowth({ ...sth, ...head }, sth, (from, to) => this.consistency(from, to));
    return note;
  }

  /** Shows that a verified event is in the log, at its place. Throws `NodeRefusal` `not_bundled` while its bundle is open. */
  async proveEvent(event: Event): Promise<ProvenEntry> {
    const proven = await this.proof("inclusion", { event_id: event.id }, (answer, sth) => {
      demandOnly(answer, [...PLACE, "bundle"]);
      const entry = provenEntry(answer, sth);
      demandInBundle(answer, entry, event);
      return entry;
    });
    await this.keep({ ...this.kept, receipts: this.kept.receipts.filter(({ id }) => id !== event.id) });
    return proven;
  }

  /** The values of some leaves of the newest closed state. */
  async proveState(names: readonly StateName[]): Promise<ProvenState> {
    const items = names.map(({ namespace, raw }) => ({ namespace, key: toHex(raw) }));
    return this.proof("state-batch", { items }, (answer, sth) => {
      demandOnly(answer, [...PLACE, "proofs", "state_hash", "last_event_hash"]);
      const proven = provenEntry(answer, sth);
      const age = this.now() - sth.timestamp;
      const fresh = age <= FRESH_MS + this.origin.manifest.bundle.timeout;
      return { values: stateValues(answer, proven, names), leaf_index: proven.leaf_index, current: proven.leaf_index === sth.tree_size - 1 && fresh };
    });
  }

  /** Closes the open bundle; for owners. */
  async closeBundle(): Promise<Sth> {
    const answer = await this.link.json("POST", `/enclaves/${this.id}/close-bundle`, this.credentials.members());
    return this.newest(answer.sth as JsonObject);
  }

  /** Registers an endpoint for deliveries; null unregisters all of them. */
  async registerPush(url: string | null): Promise<void> {
    await this.link.json("POST", `/enclaves/${this.id}/push`, { ...this.credentials.members(), url });
  }

  /** Deliveries from `after` on, each verified as a receiver would; `url` is the endpoint that they are for. */
  async pull(url: string, after: number = 0): Promise<readonly JsonObject[]> {
    const answer = await this.ask({ type: "Pull", url, push_seq: { start_after: after } });
    demand(isArray(answer.deliveries), "no deliveries");
    const receiver = { sequencer: this.origin.sequencer, url, now: this.now(), enclave: this.id };
    for (const delivery of answer.deliveries) demand(verifyDelivery(delivery, receiver), "a delivery that does not hold");
    return answer.deliveries as readonly JsonObject[];
  }

  /** Fetches the whole log and replays it: nothing is believed but the id. For owners. */
  async audit(): Promise<Ledger> {
    const snapshot = decodeSnapshot(await this.link.bytes(`/enclaves/${this.id}/snapshot`, this.credentials.headers()));
    demand(snapshot !== undefined, "no snapshot");
    const ledger = replayed(() => replay(snapshot, this.options.unbound));
    demand(ledger.id === this.id, "the snapshot of another enclave");
    await this.accept(snapshot.sth);
    for (const receipt of this.kept.receipts) {
      const stored = ledger.eventById(receipt.id);
      if (stored === undefined && receipt.seq < ledger.events.length) throw new Unproven("an event with a receipt was dropped", [receipt, snapshot.sth]);
    }
    return ledger;
  }

  /** Goes to where a Migrate has led, if one has and `locate` knows the node. */
  async followMigrate(): Promise<boolean> {
    await this.learnMigrates();
    const url = await this.options.locate?.(this.origin.sequencer);
    if (url === undefined || url === this.link.url) return false;
    this.link = new NodeLink(url, this.options.fetch);
    return true;
  }

  /** Reads the Migrates where the log is served, until none is new. */
  private async learnMigrates(): Promise<void> {
    const { events } = await this.ask({ type: "Query", filter: { type: "Migrate" } });
    demand(isArray(events), "no events");
    for (const value of events) this.origin.follow(this.origin.event(value));
    this.credentials.renew();
  }

  private async submitted(commit: JsonObject): Promise<{ answer: JsonObject; fresh: boolean }> {
    try {
      return { answer: await this.send(commit), fresh: true };
    } catch (error) {
      if (!(error instanceof NodeRefusal)) throw error;
      const { receipt } = error.body;
      if (error.code === "duplicate" && receipt !== undefined) return { answer: receipt as JsonObject, fresh: false };
      if (error.code !== "enclave_migrated" || !(await this.followMigrate())) throw error;
      return { answer: await this.send(commit), fresh: true };
    }
  }

  private send(commit: JsonObject): Promise<JsonObject> {
    return this.options.sealed ? this.sealed(commit) : this.link.json("POST", "/", commit);
  }

  private async page(filter: JsonObject, sequence: Sequence): Promise<{ events: readonly Event[]; next: number | undefined }> {
    const answer = await this.ask({ type: "Query", filter });
    demandOnly(answer, ["type", "events", "next"]);
    const { events, next, type } = answer;
    demand(type === "Response" && isArray(events) && (next === undefined || isCount(next)), "no Response");
    const verified = events.map((value) => this.origin.event(value));
    verified.forEach((event) => sequence.take(event));
    demand(next === undefined || (verified.length > 0 && verified[verified.length - 1]?.seq === next), "next is not the last seq of the page");
    return { events: verified, next };
  }

  /** A Query or Pull, sealed or plain. */
  private ask(request: JsonObject): Promise<JsonObject> {
    if (this.options.sealed) return this.sealed(request);
    return this.link.json("POST", "/", { ...request, enclave: this.id, ...this.credentials.members() });
  }

  private async proof<T>(action: "inclusion" | "state-batch", members: JsonObject, verify: (answer: JsonObject, sth: Sth) => T): Promise<T> {
    const answer = this.options.sealed
      ? await this.sealed({ action, ...members })
      : await this.link.json("POST", `/enclaves/${this.id}/${action}`, { ...members, ...this.credentials.members() });
    return verify(answer, await this.newest(answer.sth as JsonObject));
  }

  private sealed(request: JsonObject): Promise<JsonObject> {
    const session = this.credentials.current();
    if (session === undefined || this.options.key === undefined) throw new TypeError("sealing needs a key");
    const whom = { enclave: this.id, from: this.options.key.pub, sequencer: this.origin.sequencer, session };
    return this.link.sealed(whom, request, this.now());
  }

  private async newest(value: JsonObject): Promise<Sth> {
    return this.accept(sthOf(value, this.id, this.origin.sequencer));
  }

  private async accept(sth: Sth): Promise<Sth> {
    await demandGrowth(this.kept.sth, sth, (from, to) => this.consistency(from, to));
    if (sth.tree_size !== this.kept.sth?.tree_size) await this.keep({ ...this.kept, sth });
    return sth;
  }

  private async consistency(from: number, to: number): Promise<readonly string[]> {
    const answer = await this.link.json("GET", `/enclaves/${this.id}/consistency?from=${from}&to=${to}`);
    return pathOf(answer.path);
  }

  private async keep(kept: Kept): Promise<void> {
    this.kept = kept;
    await this.options.store?.save(this.id, kept);
  }
}

function replayed(judge: () => Ledger): Ledger {
  try {
    return judge();
  } catch (error) {
    if (error instanceof ReplayError) throw new Unproven(error.message);
    throw error;
  }
}
