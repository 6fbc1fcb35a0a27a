// The routes that are read with GET (spec section 7).

import { toHex, utf8 } from "../bytes.js";
import { misshapen } from "../commit.js";
import { isCount } from "../json.js";
import { encodeEntry } from "../log.js";
import { Refusal } from "../refusal.js";
import { tile, type TilePath } from "../tile.js";
import { Reading, type Ledger } from "../kernel/index.js";
import { enclaveOf } from "./body.js";
import { bytes, json, type Answer, type Request } from "./exchange.js";
import type { Hosted } from "./hosted.js";
import type { Referee } from "./node.js";
import type { Resolved } from "./resolve.js";

/** Answers a GET below an enclave. */
export function answerGet(referee: Referee, resolved: Resolved, request: Request): Answer {
  const allowed = resolved.action === "consistency" ? ["enclave", "from", "to"] : ["enclave"];
  for (const name of request.query.keys()) if (!allowed.includes(name)) throw new Refusal("invalid_structure");
  const hosted = referee.hosted(enclaveOf({ ...Object.fromEntries(request.query) }, resolved.enclave));
  const { ledger, id } = hosted;
  const now = referee.now();
  switch (resolved.action) {
    case "sth":
      return json(hosted.newestSth(now));
    case "checkpoint": {
      const note = hosted.checkpoint();
      if (note === undefined) throw new Refusal("not_found");
      return bytes("text/plain; charset=utf-8", utf8(note), { "cache-control": "no-cache" });
    }
    case "tile": {
      const path = resolved.tile as TilePath;
      return tileAnswer(tile(ledger.log, ledger.log.size, path, (i) => encodeEntry(ledger.bundles[i]!.entry)), path);
    }
    case "consistency":
      return consistency(ledger, request.query);
    case "info/manifest":
      return json({ enclave: id, sequencer: ledger.sequencer, bound: ledger.bound, manifest: ledger.events[0] });
    case "info/enclave":
      return aboutEnclave(hosted, headerReader(referee, hosted, request));
    default: {
      const reader = headerReader(referee, hosted, request);
      if (reader === null || !ledger.roles.isOwner(reader)) throw new Refusal("unauthorized");
      const headers = { "cache-control": "no-store", "content-disposition": `attachment; filename="${id}.enc"` };
      return bytes("application/octet-stream", hosted.snapshot(now), headers);
    }
  }
}

function aboutEnclave(hosted: Hosted, reader: string | null): Answer {
  const { ledger, id, live, logVkey } = hosted;
  const { bound, statusNow: status, sequencer } = ledger;
  const open = { enclave: id, sequencer, ...(logVkey === undefined ? {} : { log_vkey: logVkey }), bound, live, status, tree_size: ledger.bundles.length };
  if (!new Reading(ledger, reader).readsAnything() || reader === null) return json(open);
  const aliases = [...ledger.manifest.moves, ...ledger.manifest.customs].filter((row) => row.gate !== undefined).map((row) => row.alias as string);
  return json({
    ...open,
    last_seq: ledger.events.length - 1,
    open_events: ledger.openCount,
    gates: Object.fromEntries(aliases.map((alias) => [alias, ledger.roles.isOpen(alias)])),
    counts: Object.fromEntries(ledger.typeCounts),
  });
}

function headerReader(referee: Referee, hosted: Hosted, { headers }: Request): string | null {
  return referee.reader(hosted, headers["x-enc-from"], headers["x-enc-session"]);
}

/** A count in a query string. */
export function countOf(text: string | null, field: string): number {
  const value = text !== null && /^(0|[1-9][0-9]*)$/.test(text) ? Number(text) : undefined;
  if (!isCount(value)) misshapen(field);
  return value;
}

function consistency(ledger: Ledger, search: URLSearchParams): Answer {
  const from = countOf(search.get("from"), "from");
  const to = countOf(search.get("to"), "to");
  if (from > to) misshapen("from");
  if (to > ledger.log.size) throw new Refusal("not_found");
  return json({ from, to, path: ledger.log.consistency(from, to).map(toHex) });
}

/** A tile; full ones never change. */
export function tileAnswer(body: Uint8Array | undefined, path: TilePath): Answer {
  if (body === undefined) throw new Refusal("not_found");
  const caching = path.width === 256 ? "public, max-age=31536000, immutable" : "no-cache";
  return bytes("application/octet-stream", body, { "cache-control": caching });
}
