// Move, Grant, Revoke, Transfer, Gate and AC_Bundle (spec sections 4.2 and 4.3).

import { isArray, isObject, type Json, type JsonObject } from "../json.js";
import { isXOnly } from "../key.js";
import { refuseOthers } from "../commit.js";
import { Refusal } from "../refusal.js";
import { gatedRows, traitBit, type GrantRow, type MoveRow, type TransferRow } from "./manifest.js";
import type { Roles } from "./roles.js";
import { settle, type Judged, type RoleChange } from "./verdict.js";

const MAX_OPS = 64;

/** The types that may stand in an AC_Bundle. */
export const BUNDLED_TYPES = ["Move", "Grant", "Revoke", "Transfer", "Gate"] as const;
export type BundledType = (typeof BUNDLED_TYPES)[number];

type TraitOp = { readonly target: string; readonly trait: string };

/** One operation with its content read. */
type RoleOp =
  | { readonly type: "Move"; readonly target: string; readonly to: string }
  | { readonly type: "Grant" | "Revoke" | "Transfer"; readonly target: string; readonly trait: string }
  | { readonly type: "Gate"; readonly alias: string; readonly open: boolean };

/** Whether an event of this type changes roles or gates. */
export function isRoleType(type: string): type is BundledType | "AC_Bundle" {
  return type === "AC_Bundle" || isBundled(type);
}

/** What the event changes; throws a Refusal. `roles` is not changed. */
export function judgeRoleEvent(roles: Roles, author: string, type: BundledType | "AC_Bundle", content: Json): readonly RoleChange[] {
  return type === "AC_Bundle" ? judgeBundle(roles, author, content) : judgeOp(roles, author, parseOp(type, content));
}

/** Makes the changes in `roles`. */
export function applyChanges(roles: Roles, changes: readonly RoleChange[]): void {
  for (const change of changes) {
    if (change.kind === "mask") roles.setMask(change.identity, change.mask);
    else roles.setOpen(change.alias, change.open);
  }
}

function isBundled(type: Json | undefined): type is BundledType {
  return BUNDLED_TYPES.some((name) => name === type);
}

function parseOp(type: BundledType, content: Json): RoleOp {
  switch (type) {
    case "Move": {
      // An app may put more members into a Move.
      if (!isObject(content) || typeof content.to !== "string") throw new Refusal("invalid_structure");
      return { type, target: targetOf(content), to: content.to };
    }
    case "Grant":
    case "Revoke":
    case "Transfer": {
      const members = exactly(content, ["target", "trait"]);
      if (typeof members.trait !== "string") throw new Refusal("invalid_structure");
      return { type, target: targetOf(members), trait: members.trait };
    }
    case "Gate": {
      const { alias, open } = exactly(content, ["alias", "open"]);
      if (typeof alias !== "string" || typeof open !== "boolean") throw new Refusal("invalid_structure");
      return { type, alias, open };
    }
  }
}

function judgeOp(roles: Roles, author: string, op: RoleOp): readonly RoleChange[] {
  switch (op.type) {
    case "Move":
      return settle(roles.manifest.moves.filter((row) => row.to === op.to).map((row) => moveBy(roles, author, op.target, row)));
    case "Grant":
      return judgeGrant(roles, author, op);
    case "Revoke":
      return judgeRevoke(roles, author, op);
    case "Transfer":
      return judgeTransfer(roles, author, op);
    case "Gate":
      return judgeGate(roles, author, op);
  }
}

/** The list and its types are read before any operation is judged, each on what those before it left. */
function judgeBundle(roles: Roles, author: string, content: Json): readonly RoleChange[] {
  const { ops } = exactly(content, ["ops"]);
  if (!isArray(ops) || ops.length < 1 || ops.length > MAX_OPS) throw new Refusal("invalid_structure");
  const parsed = ops.map((op) => {
    const { type, content: inner } = exactly(op, ["type", "content"]);
    if (!isBundled(type)) throw new Refusal("invalid_structure");
    return { type, content: inner as Json };
  });
  const running = roles.fork();
  return parsed.flatMap(({ type, content: inner }, index) => {
    try {
      const changes = judgeOp(running, author, parseOp(type, inner));
      applyChanges(running, changes);
      return changes;
    } catch (error) {
      if (error instanceof Refusal) throw new Refusal(error.code, { index });
      throw error;
    }
  });
}

function moveBy(roles: Roles, author: string, target: string, row: MoveRow): Judged<RoleChange[]> {
  const actor = { author, target };
  const own = author === target;
  const group = roles.manifest.moves.filter(({ from, to }) => from === row.from && to === row.to);
  const permitted = row.ops.includes("C") && roles.matchesAny(row.operator, actor) && roles.allowed(group, actor).has("C");
  if (!permitted) return { stopped: "unauthorized" };
  if (own ? !row.operator.includes("Self") : !outranks(roles, author, target)) return { stopped: "rank_too_low" };
  const mask = roles.moved(target, row.to, !own || row.to === "OUTSIDER");
  if (roles.state(target) !== row.from || losesLastOwner(roles, target, mask)) return { stopped: "bad_state" };
  if (row.gate !== undefined && !roles.isOpen(row.alias as string)) return { stopped: "gate_closed" };
  return { passed: [{ kind: "mask", identity: target, mask }] };
}

function judgeGrant(roles: Roles, author: string, { target, trait }: TraitOp): readonly RoleChange[] {
  const grantBy = (row: GrantRow): Judged<RoleChange[]> => {
    if (!roles.matchesAny(row.operator, { author, target })) return { stopped: "unauthorized" };
    const ranked = outranksTrait(roles, author, trait) && (author === target || outranks(roles, author, target));
    if (!ranked) return { stopped: "rank_too_low" };
    if (!row.scope.includes(roles.state(target)) || roles.holds(target, trait)) return { stopped: "bad_state" };
    return { passed: [{ kind: "mask", identity: target, mask: roles.mask(target) | traitBit(roles.manifest, trait) }] };
  };
  return settle(grantRows(roles, "Grant", trait).map(grantBy));
}

function judgeRevoke(roles: Roles, author: string, { target, trait }: TraitOp): readonly RoleChange[] {
  const { manifest } = roles;
  const own = author === target;
  const take = (): Judged<RoleChange[]> => {
    const mask = roles.mask(target) & ~traitBit(manifest, trait);
    if (!roles.holds(target, trait) || losesLastOwner(roles, target, mask)) return { stopped: "bad_state" };
    return { passed: [{ kind: "mask", identity: target, mask }] };
  };
  const declared = manifest.traits.some(({ name }) => name === trait);
  if (own && declared && !manifest.restrictive.has(trait)) return settle([take()]);
  const revokeBy = (row: GrantRow): Judged<RoleChange[]> => {
    if (!roles.matchesAny(row.operator, { author, target })) return { stopped: "unauthorized" };
    // What is left of acting on oneself here is a restrictive trait, which its holder never takes off.
    const ranked = !own && outranksTrait(roles, author, trait) && outranks(roles, author, target);
    if (!ranked) return { stopped: "rank_too_low" };
    return row.scope.includes(roles.state(target)) ? take() : { stopped: "bad_state" };
  };
  return settle(grantRows(roles, "Revoke", trait).map(revokeBy));
}

function judgeTransfer(roles: Roles, author: string, { target, trait }: TraitOp): readonly RoleChange[] {
  const transferBy = (row: TransferRow): Judged<RoleChange[]> => {
    if (!roles.matchesAny(row.operator, { author, target })) return { stopped: "unauthorized" };
    const targetRank = roles.rank(target);
    if (targetRank !== Infinity && targetRank <= rankOfTrait(roles, trait)) return { stopped: "rank_too_low" };
    const fits =
      roles.holds(author, trait) && !roles.holds(target, trait) && author !== target && row.scope.includes(roles.state(target));
    if (!fits) return { stopped: "bad_state" };
    const bit = traitBit(roles.manifest, trait);
    return {
      passed: [
        { kind: "mask", identity: author, mask: roles.mask(author) & ~bit },
        { kind: "mask", identity: target, mask: roles.mask(target) | bit },
      ],
    };
  };
  return settle(roles.manifest.transfers.filter((row) => row.trait === trait).map(transferBy));
}

function judgeGate(roles: Roles, author: string, { alias, open }: RoleOp & { type: "Gate" }): readonly RoleChange[] {
  const gates = gatedRows(roles.manifest);
  const mine = gates.filter(({ gate }) => roles.matchesAny(gate.operator, { author }));
  if (mine.length === 0) throw new Refusal("unauthorized");
  if (!gates.some((row) => row.alias === alias)) throw new Refusal("not_found");
  if (!mine.some((row) => row.alias === alias)) throw new Refusal("unauthorized");
  if (roles.isOpen(alias) === open) throw new Refusal("bad_state");
  return [{ kind: "gate", alias, open }];
}

function outranks(roles: Roles, author: string, target: string): boolean {
  const rank = roles.rank(target);
  return rank === Infinity || roles.rank(author) < rank;
}

function rankOfTrait(roles: Roles, trait: string): number {
  return roles.manifest.traits.find(({ name }) => name === trait)?.rank ?? -1;
}

function outranksTrait(roles: Roles, author: string, trait: string): boolean {
  return roles.rank(author) < rankOfTrait(roles, trait);
}

/** Whether `identity` is the last owner and no owner under `mask`. */
function losesLastOwner(roles: Roles, identity: string, mask: bigint): boolean {
  if (!roles.isLastOwner(identity)) return false;
  const after = roles.fork();
  after.setMask(identity, mask);
  return !after.isOwner(identity);
}

function grantRows(roles: Roles, event: GrantRow["event"], trait: string): readonly GrantRow[] {
  return roles.manifest.grants.filter((row) => row.event === event && row.trait.includes(trait));
}

/** The members of `content`, which are exactly `names`. */
export function exactly(content: Json, names: readonly string[]): JsonObject {
  if (!isObject(content)) throw new Refusal("invalid_structure");
  refuseOthers(content, names);
  if (names.some((name) => content[name] === undefined)) throw new Refusal("invalid_structure");
  return content;
}

function targetOf(content: JsonObject): string {
  const { target } = content;
  if (typeof target !== "string" || !isXOnly(target)) throw new Refusal("invalid_structure");
  return target;
}
