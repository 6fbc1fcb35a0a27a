// WebSocket (spec section 7): subscriptions, commits and their answers on one connection.

import { isHex } from "../bytes.js";
import { misshapen, refuseOthers } from "../commit.js";
import type { Event } from "../event.js";
import { isObject, jcs, parseJson, type JsonObject } from "../json.js";
import { Refusal } from "../refusal.js";
import { sessionEnd } from "../session.js";
import { parseFilter, Reading, type Filter } from "../kernel/index.js";
import { errorBody } from "./exchange.js";
import type { Hosted } from "./hosted.js";
import type { Referee } from "./node.js";

const MAX_SUBSCRIPTIONS = 64;
const MAX_SUB_ID = 64;
/** How long a subscription goes on after its session's end; milliseconds. */
const GRACE_MS = 60_000;

interface Subscription {
  readonly hosted: Hosted;
  readonly reader: string | null;
  readonly filter: Filter;
  /** Milliseconds; undefined without a session. */
  readonly ends: number | undefined;
}

/** One connection. `enclave` is the one that it was opened at. */
export class Connection {
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly unwatch: () => void;

  constructor(
    private readonly referee: Referee,
    private readonly enclave: string | undefined,
    private readonly send: (text: string) => void,
  ) {
    this.unwatch = referee.watch((hosted, event) => this.appended(hosted, event));
  }

  /** The connection is gone. */
  close(): void {
    this.unwatch();
    this.subscriptions.clear();
  }

  /** Ends what has outlived its session. A host calls it about once a second. */
  tick(): void {
    for (const [id, { ends }] of this.subscriptions) {
      if (ends !== undefined && this.referee.now() > ends + GRACE_MS) this.end(id, "session_expired");
    }
  }

  /** A text frame. */
  received(text: string): void {
    let frame: JsonObject | undefined;
    try {
      const value = parseJson(text);
      if (!isObject(value)) throw new Refusal("invalid_structure");
      frame = value;
      this.take(frame);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.refuse(frame, error);
    }
  }

  private take(frame: JsonObject): void {
    if (this.enclave !== undefined && frame.enclave !== undefined && frame.enclave !== this.enclave) misshapen("enclave");
    if (frame.exp !== undefined) {
      this.send(jcs(this.referee.commit(frame)));
    } else if (frame.type === "Query") {
      this.subscribe(frame);
    } else if (frame.type === "Close") {
      refuseOthers(frame, ["type", "sub_id"]);
      if (!isSubId(frame.sub_id)) misshapen("sub_id");
      if (!this.subscriptions.has(frame.sub_id)) throw new Refusal("not_found");
      this.end(frame.sub_id, "closed");
    } else {
      misshapen("type");
    }
  }

  private subscribe(frame: JsonObject): void {
    refuseOthers(frame, ["type", "sub_id", "enclave", "from", "session", "filter"]);
    const { sub_id, session } = frame;
    if (!isSubId(sub_id)) misshapen("sub_id");
    const enclave = frame.enclave ?? this.enclave;
    if (!isHex(enclave, 32)) misshapen("enclave");
    const hosted = this.referee.hosted(enclave);
    const reader = this.referee.reader(hosted, frame.from, session);
    const filter = parseFilter(frame.filter);
    const reading = new Reading(hosted.ledger, reader);
    if (!reading.readsAnything()) throw new Refusal("unauthorized");
    const full = !this.subscriptions.has(sub_id) && this.subscriptions.size >= MAX_SUBSCRIPTIONS;
    if (full) throw new Refusal("limit_exceeded");
    const ends = typeof session === "string" ? sessionEnd(session) * 1000 : undefined;
    this.subscriptions.set(sub_id, { hosted, reader, filter, ends });
    const history = hosted.ledger.events.filter((event) => filter.matches(event) && reading.mayRead(event));
    if (filter.reverse) history.reverse();
    for (const event of history.slice(0, filter.limit)) this.send(jcs({ type: "Event", sub_id, event }));
    this.send(jcs({ type: "EOSE", sub_id }));
  }

  private appended(hosted: Hosted, event: Event): void {
    for (const [sub_id, subscription] of this.subscriptions) {
      if (subscription.hosted !== hosted) continue;
      const reading = new Reading(hosted.ledger, subscription.reader);
      if (!reading.readsAnything()) this.end(sub_id, "unauthorized");
      else if (subscription.filter.matches(event) && reading.mayRead(event)) this.send(jcs({ type: "Event", sub_id, event }));
    }
  }

  private refuse(frame: JsonObject | undefined, refusal: Refusal): void {
    const sub_id = frame?.exp === undefined && frame?.type === "Query" ? frame.sub_id : undefined;
    if (isSubId(sub_id)) {
      this.end(sub_id, refusal.code);
      return;
    }
    const hash = isHex(frame?.hash, 32) ? { hash: frame.hash } : {};
    this.send(jcs({ type: "Error", ...errorBody(refusal), ...hash }));
  }

  private end(sub_id: string, reason: string): void {
    this.subscriptions.delete(sub_id);
    this.send(jcs({ type: "Closed", sub_id, reason }));
  }
}

function isSubId(value: unknown): value is string {
  return typeof value === "string" && value.length >= 1 && value.length <= MAX_SUB_ID;
}
