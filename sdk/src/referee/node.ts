// The referee as a node: every route of spec section 7, over whatever carries requests.

import { utf8 } from "../bytes.js";
import { commitOf, MAX_COMMIT_LEN, misshapen, refuseOthers, verifyCommit, type Commit } from "../commit.js";
import type { Event, Receipt } from "../event.js";
import type { Json, JsonObject } from "../json.js";
import type { Keypair } from "../key.js";
import { Refusal } from "../refusal.js";
import { checkPlainSession } from "../session.js";
import type { TilePath } from "../tile.js";
import { judgeTime, Ledger, mayTakeUp } from "../kernel/index.js";
import { bodyOf, enclaveOf } from "./body.js";
import { bytes, json, refused, withoutCors, type Answer, type Request } from "./exchange.js";
import { answerGet, countOf, tileAnswer } from "./gets.js";
import { HeadsLog } from "./heads-log.js";
import { Hosted, type Listener } from "./hosted.js";
import { Lines } from "./lines.js";
import { readProvision, readRestore, restored, type Provisioned } from "./operator.js";
import { prove, type ProofAction } from "./proofs.js";
import { PushQueues, type Later, type Post } from "./push.js";
import { parsePull, query } from "./query.js";
import { resolve, type Resolved } from "./resolve.js";
import { openAndSeal } from "./sealed.js";

const VERSION = "0.1.0";
const MAX_BODY_LEN = 1 << 20;
const MAX_SEALED_LEN = (2 << 20) + 4096;
const MAX_LINES_LEN = 64 << 20;
const MAX_RESTORE_LEN = 64 << 20;
/** Sessions whose signature is remembered. */
const MAX_VERIFIED = 10_000;
const PROOFS: readonly string[] = ["inclusion", "bundle", "state", "state-batch"];

/** What the referee needs from where it runs. */
export interface Host {
  readonly name: string;
  readonly key: Keypair;
  /** Seed of the heads log's Ed25519 key, 32 bytes. */
  readonly headsSeed: Uint8Array;
  readonly now: () => number;
  readonly post: Post;
  readonly later: Later;
}

export class Referee implements Listener {
  private readonly enclaves = new Map<string, Hosted>();
  private readonly provisioned = new Map<string, Provisioned>();
  private readonly queues = new Map<string, PushQueues>();
  private readonly heads: HeadsLog;
  private readonly takenUp = new Set<string>();
  private readonly verified = new Set<string>();
  private readonly watchers = new Set<(hosted: Hosted, event: Event) => void>();

  constructor(private readonly host: Host) {
    this.heads = new HeadsLog(host.name, host.headsSeed);
  }

  /** The largest body that the action takes, in bytes. */
  static bodyLimit(path: string): number {
    if (path === "/commits") return MAX_LINES_LEN;
    return path.endsWith("/restore") ? MAX_RESTORE_LEN : MAX_SEALED_LEN;
  }

  appended(hosted: Hosted, event: Event): void {
    this.queues.get(hosted.id)?.appended(event);
    for (const watcher of this.watchers) watcher(hosted, event);
  }

  closed(hosted: Hosted): void {
    this.heads.enter(hosted);
  }

  /** Hears of every event; the answer ends it. */
  watch(watcher: (hosted: Hosted, event: Event) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** Closes what is due in every enclave. A host calls it about once a second. */
  tick(): void {
    for (const hosted of this.enclaves.values()) hosted.tick(this.host.now());
  }

  now = (): number => this.host.now();

  async answer(request: Request): Promise<Answer> {
    const answer = await this.open(request);
    return /\/(restore|init-with-priv)$/.test(request.path) ? withoutCors(answer) : answer;
  }

  private async open(request: Request): Promise<Answer> {
    try {
      const resolved = resolve(request);
      return "status" in resolved ? resolved : await this.act(resolved, request);
    } catch (error) {
      if (error instanceof Refusal) return refused(error);
      throw error;
    }
  }

  /** Steps 1 to 14 for a commit as JSON. */
  commit(value: Json): Receipt {
    return this.sequence(commitOf(value));
  }

  /** What answers the lines of one `POST /commits`. */
  lines(): Lines {
    return new Lines((value) => this.commit(value));
  }

  /** The enclave, its due bundle closed. Throws `enclave_not_found`. */
  hosted(id: string): Hosted {
    const hosted = this.enclaves.get(id);
    if (hosted === undefined) throw new Refusal("enclave_not_found");
    hosted.tick(this.host.now());
    return hosted;
  }

  /** The identity that a plain request proves; null without a session. */
  reader(hosted: Hosted, from: Json | undefined, session: Json | undefined): string | null {
    if (session === undefined) return null;
    if (typeof from !== "string" || typeof session !== "string") throw new Refusal("invalid_session");
    const known = `${from} ${session} ${hosted.sequencer}`;
    // The signature is checked once; whether the token has ended is asked each time.
    checkPlainSession(session, from, hosted.sequencer, this.host.now(), this.verified.has(known));
    if (this.verified.size >= MAX_VERIFIED) this.verified.clear();
    this.verified.add(known);
    return from;
  }

  private async act(resolved: Resolved, request: Request): Promise<Answer> {
    const { action } = resolved;
    switch (action) {
      case "root":
        return resolved.method === "GET" ? this.aboutNode() : this.post(resolved.enclave, request.body);
      case "heads/checkpoint":
        return bytes("text/plain; charset=utf-8", utf8(this.heads.checkpoint()), { "cache-control": "no-cache" });
      case "heads/tile":
        return tileAnswer(this.heads.tile(resolved.tile as TilePath), resolved.tile as TilePath);
      case "heads/proof":
        return this.headsProof(request.query);
      case "commits":
        return this.commits(request.body);
      case "init-with-priv":
        return this.provision(resolved.enclave, request);
      case "restore":
        return this.restore(resolved.enclave, request);
      case "sth":
      case "checkpoint":
      case "tile":
      case "consistency":
      case "info/manifest":
      case "info/enclave":
      case "snapshot":
        return answerGet(this, resolved, request);
      case "inclusion":
      case "bundle":
      case "state":
      case "state-batch":
      case "push":
        return this.postBelow(action, bodyOf(request.body, MAX_BODY_LEN), resolved.enclave);
      case "close-bundle":
        return this.closeBundle(resolved.enclave, request);
    }
  }

  private aboutNode(): Answer {
    const { name, key, now } = this.host;
    const limits = {
      body_bytes: MAX_BODY_LEN, commit_bytes: MAX_COMMIT_LEN, envelope_bytes: MAX_SEALED_LEN, lines: 10_000, lines_bytes: MAX_LINES_LEN,
      page_bytes: 4 << 20, page_events: 1000, restore_bytes: MAX_RESTORE_LEN, subscriptions_per_socket: 64,
    };
    const about = { name, version: VERSION, enc_v: [2], sequencer: key.pub, heads_vkey: this.heads.vkey, services: ["enc-node"], limits };
    return json({ ...about, time: now() });
  }

  private async post(enclave: string | undefined, raw: Uint8Array): Promise<Answer> {
    const body = bodyOf(raw, MAX_SEALED_LEN);
    if (body.ciphertext !== undefined) {
      const hosted = this.hosted(enclaveOf(body, enclave));
      const key = hosted.sequencerKey;
      if (key === undefined) throw new Refusal("invalid_session");
      return openAndSeal(key, body, this.host.now(), (inner, from) => this.inside(hosted, inner, from), refused);
    }
    if (raw.length > MAX_BODY_LEN) throw new Refusal("too_large", { limit: MAX_BODY_LEN });
    if (body.exp !== undefined) {
      if (enclave !== undefined && body.enclave !== undefined && body.enclave !== enclave) misshapen("enclave");
      return json(this.commit(body));
    }
    const hosted = this.hosted(enclaveOf(body, enclave));
    return this.ask(hosted, body, this.reader(hosted, body.from, body.session));
  }

  /** A request that came sealed: its session is proved by the cipher. */
  private async inside(hosted: Hosted, request: JsonObject, from: string): Promise<Answer> {
    if (request.exp !== undefined) return json(this.commit({ from, enclave: hosted.id, ...request }));
    const { action, ...rest } = request;
    if (action === undefined) return this.ask(hosted, rest, from);
    if (typeof action !== "string" || !PROOFS.includes(action)) misshapen("action");
    return json(prove(hosted, action as ProofAction, rest, from, this.host.now()));
  }

  private ask(hosted: Hosted, body: JsonObject, reader: string | null): Answer {
    if (body.type === "Query") return json(query(hosted, body, reader));
    if (body.type !== "Pull") misshapen("type");
    const range = parsePull(body);
    if (reader === null) throw new Refusal("unauthorized");
    return json({ type: "Response", deliveries: this.queuesOf(hosted).pull(reader, range) });
  }

  private async postBelow(action: ProofAction | "push", body: JsonObject, named: string | undefined): Promise<Answer> {
    const hosted = this.hosted(enclaveOf(body, named));
    const reader = this.reader(hosted, body.from, body.session);
    if (action === "push") {
      refuseOthers(body, ["enclave", "from", "session", "url"]);
      const { url } = body;
      if (url !== null && typeof url !== "string") misshapen("url");
      if (reader === null) throw new Refusal("unauthorized");
      await this.queuesOf(hosted).register(reader, url);
      return json({ ok: true });
    }
    return json(prove(hosted, action, body, reader, this.host.now()));
  }

  /** All lines at once, for hosts that hand over whole bodies. */
  private commits(body: Uint8Array): Answer {
    const lines = this.lines();
    return bytes("application/x-ndjson", utf8(lines.take(body) + lines.finish()), {});
  }

  /** The session stands in the headers, or in a body where there is one. */
  private closeBundle(named: string | undefined, request: Request): Answer {
    const { headers, query: search } = request;
    const body = request.body.length > 0 ? bodyOf(request.body, MAX_BODY_LEN) : { ...Object.fromEntries(search) };
    refuseOthers(body, ["enclave", "from", "session"]);
    const hosted = this.hosted(enclaveOf(body, named));
    const reader = this.reader(hosted, body.from ?? headers["x-enc-from"], body.session ?? headers["x-enc-session"]);
    if (reader === null || !hosted.ledger.roles.isOwner(reader)) throw new Refusal("unauthorized");
    hosted.closeBundle(this.host.now());
    return json({ ok: true, sth: hosted.newestSth(this.host.now()) });
  }

  private headsProof(search: URLSearchParams): Answer {
    const enclave = enclaveOf({ ...Object.fromEntries(search) }, undefined);
    this.hosted(enclave);
    const size = search.get("tree_size");
    return json(this.heads.proof(enclave, size === null ? undefined : countOf(size, "tree_size")), 200, { "cache-control": "no-cache" });
  }

  private sequence(commit: Commit): Receipt {
    const now = this.host.now();
    const known = this.enclaves.get(commit.enclave);
    const isSequencer = (key: string): boolean => key === this.host.key.pub || [...this.provisioned.values()].some((one) => one.key.pub === key);
    if (known !== undefined) return known.submit(commit, now, isSequencer);
    const t = judgeTime(commit, now);
    verifyCommit(commit);
    const given = this.provisioned.get(commit.enclave);
    if (commit.type !== "Manifest" || (given?.owner !== undefined && given.owner !== commit.from)) throw new Refusal("enclave_not_found");
    if (isSequencer(commit.from)) throw new Refusal("unauthorized");
    const key = given?.key ?? this.host.key;
    const ledger = Ledger.found(commit, key.pub, given !== undefined);
    const hosted = new Hosted(ledger, key, this);
    const receipt = hosted.sequence(commit, t, isSequencer);
    this.enclaves.set(ledger.id, hosted);
    return receipt;
  }

  private provision(enclave: string | undefined, request: Request): Answer {
    const { id, provisioned } = readProvision(enclave, request);
    const known = this.provisioned.get(id);
    const { pub } = provisioned.key;
    if (known === undefined ? this.enclaves.has(id) : known.key.pub !== pub) throw new Refusal("enclave_exists");
    if (known === undefined) this.provisioned.set(id, provisioned);
    return json({ ok: true, enclave_id: id, sequencer_pubkey: pub });
  }

  private restore(enclave: string | undefined, request: Request): Answer {
    const { ledger, sth } = readRestore(enclave, request, this.host.key.pub, this.host.now());
    if (this.enclaves.has(ledger.id)) throw new Refusal("enclave_exists");
    const key = [this.host.key, this.provisioned.get(ledger.id)?.key].find((held) => held?.pub === ledger.newSequencer);
    const migrate = ledger.lastEventHash;
    const told = { keyHeld: key !== undefined, first: request.query.get("first") === "true", takenUpBefore: this.takenUp.has(migrate) };
    const live = mayTakeUp(ledger, told);
    if (live) {
      this.takenUp.add(migrate);
      ledger.takeOver();
    }
    const hosted = new Hosted(ledger, live ? key : undefined, this, sth);
    if (live) hosted.signTakenOver(this.host.now());
    this.enclaves.set(ledger.id, hosted);
    this.heads.enter(hosted);
    return restored(ledger, live);
  }

  private queuesOf(hosted: Hosted): PushQueues {
    const known = this.queues.get(hosted.id) ?? new PushQueues(hosted, this.host);
    this.queues.set(hosted.id, known);
    return known;
  }
}
