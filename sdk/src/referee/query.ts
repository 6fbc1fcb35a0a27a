// Query and Pull (spec section 7).

import { misshapen, refuseOthers } from "../commit.js";
import type { Event } from "../event.js";
import { isCount, isObject, jcsBytes, type JsonObject } from "../json.js";
import { Refusal } from "../refusal.js";
import { parseFilter, Reading } from "../kernel/index.js";
import type { Hosted } from "./hosted.js";

/** A page's JSON ends about here; bytes. */
const MAX_PAGE_LEN = 4 * 1024 * 1024;

/** Answers a Query; `reader` has proved its session. */
export function query(hosted: Hosted, body: JsonObject, reader: string | null): JsonObject {
  refuseOthers(body, ["type", "enclave", "from", "session", "filter"]);
  const filter = parseFilter(body.filter);
  const reading = new Reading(hosted.ledger, reader);
  if (!reading.queriesAnything()) throw new Refusal("unauthorized");
  const wanted = hosted.ledger.events.filter((event) => filter.matches(event) && reading.mayQuery(event));
  if (filter.reverse) wanted.reverse();
  const page: Event[] = [];
  let len = 0;
  for (const event of wanted) {
    len += jcsBytes(event).length;
    if (page.length === filter.limit || (page.length > 0 && len > MAX_PAGE_LEN)) break;
    page.push(event);
  }
  const last = page[page.length - 1];
  const next = last !== undefined && page.length < wanted.length ? { next: last.seq } : {};
  return { type: "Response", events: page as unknown as JsonObject[], ...next };
}

/** What a Pull asks for. */
export interface PullRange {
  readonly url: string | undefined;
  readonly after: number;
  readonly limit: number;
}

const DEFAULT_PULL = 100;
const MAX_PULL = 1000;

/** Reads a Pull. */
export function parsePull(body: JsonObject): PullRange {
  refuseOthers(body, ["type", "enclave", "from", "session", "url", "push_seq", "limit"]);
  const { url, push_seq, limit = DEFAULT_PULL } = body;
  if (url !== undefined && typeof url !== "string") misshapen("url");
  if (!isCount(limit) || limit === 0) misshapen("limit");
  if (limit > MAX_PULL) throw new Refusal("limit_exceeded", { limit: MAX_PULL });
  if (push_seq === undefined) return { url, after: 0, limit };
  if (!isObject(push_seq)) misshapen("push_seq");
  refuseOthers(push_seq, ["start_after"]);
  if (!isCount(push_seq.start_after)) misshapen("push_seq");
  return { url, after: push_seq.start_after, limit };
}
