// Steps 7 and 8 (spec section 4.3).

import { fromHex, isHex } from "../bytes.js";
import { isXOnly } from "../key.js";
import { contentHash } from "../hash.js";
import { isCount, type Json } from "../json.js";
import { Refusal } from "../refusal.js";
import { Namespace, ownKey, sharedKey, stateKey } from "../state-tree.js";
import type { Commit } from "../commit.js";
import type { Ledger, Status } from "./ledger.js";
import type { EventRow, Plain } from "./manifest.js";
import { exactly, isRoleType, judgeRoleEvent } from "./moves.js";
import { settle, type Judged, type RoleChange } from "./verdict.js";

/** A leaf of the state tree that an event writes; `"id"` stands for the id that the event will have. */
export interface Write {
  readonly namespace: number;
  readonly raw: Uint8Array;
  readonly value: Uint8Array | "id" | null;
}

/** What an event does beside standing in the log. */
export interface Effect {
  readonly writes: readonly Write[];
  readonly changes: readonly RoleChange[];
  readonly status?: Status;
  readonly newSequencer?: string;
  /** The event that an Update or Delete refers to. */
  readonly refers?: string;
  readonly deletes?: true;
}

const NONE: Effect = { writes: [], changes: [] };
const DELETED = new Uint8Array(32);

/** The effect of `commit` on `ledger`; throws a Refusal. Changes nothing. */
export function judge(ledger: Ledger, commit: Commit): Effect {
  const { type, content, from } = commit;
  switch (type) {
    case "Manifest":
      return NONE;
    case "Shared":
    case "Own":
      return judgeSlot(ledger, from, type, content);
    case "Update":
    case "Delete":
      return judgeReference(ledger, commit, type);
    case "Pause":
    case "Resume":
    case "Terminate":
      return judgeLifecycle(ledger, from, type, content);
    case "Migrate":
      return judgeMigrate(ledger, from, content);
    case "Recovered":
      throw new Refusal("unauthorized");
    default:
      if (isRoleType(type)) return { writes: [], changes: judgeRoleEvent(ledger.roles, from, type, content) };
      return judgeCustom(ledger, from, type);
  }
}

function judgeSlot(ledger: Ledger, author: string, event: "Shared" | "Own", content: Json): Effect {
  const { key, value } = exactly(content, ["key", "value"]);
  if (typeof key !== "string") throw new Refusal("invalid_structure");
  const { roles, manifest } = ledger;
  const actor = { author, target: author };
  const slots = manifest.slots.filter((row) => row.event === event);
  if (!slots.some((row) => roles.matchesAny(row.operator, actor))) throw new Refusal("unauthorized");
  const rows = slots.filter((row) => row.key === key);
  if (rows.length === 0) throw new Refusal("not_found");
  const raw = event === "Shared" ? sharedKey(key) : ownKey(author, key);
  const empty = ledger.state.value(stateKey(Namespace.value, raw)) === undefined;
  const op = value === null ? "D" : empty ? "C" : "U";
  if (!roles.allowed(rows, actor).has(op)) throw new Refusal("unauthorized");
  if (value === null && empty) throw new Refusal("not_found");
  const hash = value === null ? null : fromHex(contentHash(value));
  return { writes: [{ namespace: Namespace.value, raw, value: hash }], changes: [] };
}

function judgeCustom(ledger: Ledger, author: string, type: string): Effect {
  const rows = ledger.manifest.customs.filter((row) => row.event === type);
  return customBy(ledger, rows, { author }, "C", NONE);
}

function customBy(
  ledger: Ledger,
  rows: readonly EventRow[],
  actor: { author: string; wrote?: boolean },
  op: Plain,
  effect: Effect,
): Effect {
  const { roles } = ledger;
  const permitted = roles.allowed(rows, actor).has(op);
  const judgeBy = (row: EventRow): Judged<Effect> => {
    if (!permitted || !row.ops.includes(op) || !roles.matchesAny(row.operator, actor)) return { stopped: "unauthorized" };
    const closed = row.gate !== undefined && !roles.isOpen(row.alias as string);
    return closed ? { stopped: "gate_closed" } : { passed: effect };
  };
  return settle(rows.map(judgeBy));
}

function judgeReference(ledger: Ledger, commit: Commit, type: "Update" | "Delete"): Effect {
  const references = commit.tags.filter((tag) => tag[0] === "r");
  const [reference] = references;
  const id = reference?.[1];
  if (references.length !== 1 || reference?.length !== 2 || !isHex(id, 32)) throw new Refusal("invalid_structure");
  const referred = ledger.eventById(id);
  if (referred === undefined) throw new Refusal("not_found");
  const deletes = type === "Delete";
  const raw = fromHex(id);
  const effect: Effect = {
    writes: [{ namespace: Namespace.event, raw, value: deletes ? DELETED : "id" }],
    changes: [],
    refers: id,
    ...(deletes ? { deletes: true as const } : {}),
  };
  const rows = ledger.manifest.customs.filter((row) => row.event === referred.type);
  const actor = { author: commit.from, wrote: referred.from === commit.from };
  const { roles } = ledger;
  const op = deletes ? "D" : "U";
  if (!roles.allowed(rows, actor).has(op)) throw new Refusal("unauthorized");
  if (ledger.isDeleted(referred.seq)) throw new Refusal("bad_state");
  return customBy(ledger, rows, actor, op, effect);
}

function judgeLifecycle(ledger: Ledger, author: string, type: "Pause" | "Resume" | "Terminate", content: Json): Effect {
  exactly(content, []);
  const rows = ledger.manifest.lifecycle.filter((row) => row.event === type);
  if (!ledger.roles.allowed(rows, { author }).has("C")) throw new Refusal("unauthorized");
  if (type === "Resume" && ledger.status !== "paused") throw new Refusal("bad_state");
  const status = ({ Pause: "paused", Resume: "active", Terminate: "terminated" } as const)[type];
  return { ...NONE, status };
}

function judgeMigrate(ledger: Ledger, author: string, content: Json): Effect {
  const members = exactly(content, ["new_sequencer", "prev_seq", "ct_root", ...(hasPrev(content) ? ["prev"] : [])]);
  const { new_sequencer, prev_seq, ct_root, prev } = members;
  const sound =
    isHex(new_sequencer, 32) && isXOnly(new_sequencer) && new_sequencer !== ledger.sequencer &&
    isCount(prev_seq) && isHex(ct_root, 32) && (prev === undefined || isHex(prev, 32));
  if (!sound) throw new Refusal("invalid_structure");
  if (!ledger.roles.isOwner(author)) throw new Refusal("unauthorized");
  const now = { prev_seq: ledger.events.length - 1, ct_root: ledger.root(), prev: ledger.lastEventHash };
  const current = prev_seq === now.prev_seq && ct_root === now.ct_root && (prev === undefined || prev === now.prev);
  if (!current) throw new Refusal("bad_state", now);
  return { ...NONE, status: "migrated", newSequencer: new_sequencer };
}

function hasPrev(content: Json): boolean {
  return typeof content === "object" && content !== null && "prev" in content;
}
