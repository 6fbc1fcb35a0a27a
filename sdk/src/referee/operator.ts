// What an operator does: provisioning a key, and restoring a log (spec sections 8.1 to 8.3).

import { isHex, parseHex } from "../bytes.js";
import { misshapen, refuseOthers } from "../commit.js";
import type { Json } from "../json.js";
import { Keypair } from "../key.js";
import { Refusal } from "../refusal.js";
import { checkPlainSession } from "../session.js";
import { decodeSnapshot } from "../snapshot.js";
import type { Sth } from "../sth.js";
import { replay, ReplayError, type Ledger } from "../kernel/index.js";
import { bodyOf } from "./body.js";
import { json, type Answer, type Request } from "./exchange.js";

const MAX_BODY_LEN = 1 << 20;

/** An id that the operator gave a key. */
export interface Provisioned {
  readonly key: Keypair;
  readonly owner: string | undefined;
}

/** What `init-with-priv` asks for. Open to programs of this machine only: the referee has no admin token. */
export function readProvision(enclave: string | undefined, request: Request): { readonly id: string; readonly provisioned: Provisioned } {
  const local = /^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?$/.test(request.headers.host ?? "");
  const forwarded = Object.keys(request.headers).some((name) => ["origin", "forwarded", "via"].includes(name) || name.startsWith("x-forwarded-"));
  if (!request.loopback || !local || forwarded) throw new Refusal("unauthorized");
  const body = bodyOf(request.body, MAX_BODY_LEN);
  refuseOthers(body, ["enclave_id", "sequencer_priv", "owner"]);
  const { enclave_id, sequencer_priv, owner } = body;
  if (!isHex(enclave_id, 32) || (enclave !== undefined && enclave_id !== enclave)) misshapen("enclave_id");
  if (owner !== undefined && !isHex(owner, 32)) misshapen("owner");
  return { id: enclave_id, provisioned: { key: keyOf(sequencer_priv), owner } };
}

/** The log in a restore, replayed; its owner has proved a session for the node's own key. */
export function readRestore(enclave: string | undefined, request: Request, sequencerKey: string, now: number): { readonly ledger: Ledger; readonly sth: Sth } {
  const { query: search, headers } = request;
  const snapshot = decodeSnapshot(request.body);
  if (snapshot === undefined) throw new Refusal("invalid_structure");
  const manifest = search.get("manifest");
  const sequencer = search.get("sequencer");
  const pin = manifest === null || sequencer === null ? undefined : { manifest, sequencer };
  const ledger = replayed(() => replay(snapshot, pin));
  if (enclave !== undefined && enclave !== ledger.id) misshapen("enclave");
  const from = headers["x-enc-from"];
  if (from === undefined) throw new Refusal("unauthorized");
  checkPlainSession(headers["x-enc-session"] ?? "", from, sequencerKey, now);
  if (!ledger.roles.isOwner(from)) throw new Refusal("unauthorized");
  return { ledger, sth: snapshot.sth };
}

/** The answer to a restore. */
export function restored(ledger: Ledger, live: boolean): Answer {
  return json({ ok: true, enclave_id: ledger.id, last_seq: ledger.events.length - 1, tree_size: ledger.bundles.length, live });
}

function replayed(judge: () => Ledger): Ledger {
  try {
    return judge();
  } catch (error) {
    if (error instanceof ReplayError) throw new Refusal("invalid_structure");
    throw error;
  }
}

function keyOf(value: Json | undefined): Keypair {
  const priv = typeof value === "string" ? parseHex(value) : undefined;
  if (priv?.length !== 32) misshapen("sequencer_priv");
  try {
    return new Keypair(priv);
  } catch {
    return misshapen("sequencer_priv");
  }
}
