// Reads a Manifest's content member by member (spec section 4.1). What needs the whole is in manifest-rules.ts.

import { isHex } from "../bytes.js";
import { isEventType } from "../commit.js";
import { isArray, isCount, isObject, jcsBytes, type Json, type JsonObject } from "../json.js";
import { Refusal } from "../refusal.js";
import { OPS, OUTSIDER, type EventRow, type Gate, type Manifest, type Op, type OpsRow, type Trait } from "./manifest.js";

/** Limits of section 4.1. */
const MAX_LEN = 256 * 1024;
const MAX_ROWS = 1024;
const MAX_INIT = 1000;
const MAX_STATES = 255;
const MAX_TRAITS = 248;
const MAX_BUNDLE_SIZE = 4096;
const DEFAULT_BUNDLE = { size: 256, timeout: 5000 };
const MIN_TIMEOUT_MS = 100;
const MAX_TIMEOUT_MS = 3_600_000;

const STATE = /^[A-Z][A-Z0-9_]{0,63}$/;
const TRAIT = /^([a-z][a-z0-9_]{0,63})\((0|[1-9][0-9]{0,8})\)$/;
const NAME = /^[A-Za-z0-9_.:-]{1,64}$/;
const PROTOCOL_NAMES = [
  "Manifest", "Move", "Grant", "Revoke", "Transfer", "Gate", "AC_Bundle", "Shared", "Own", "Update", "Delete", "Pause", "Resume",
  "Terminate", "Migrate", "Recovered", "Receipt", "Query", "Pull", "Event", "EOSE", "Close", "Closed", "Error",
];

/** A fault at `path`. */
export function fault(path: string): never {
  throw new Refusal("invalid_manifest", { path });
}

/** The shape, with every name declared; `restrictive` is filled in too. Throws `invalid_manifest` with a path. */
export function readManifest(content: Json): Manifest {
  const top = members(content, "", ["enc_v", "sequencer", "RBAC"], ["bundle", "app", "desc"]);
  if (jcsBytes(content).length > MAX_LEN) fault("");
  if (top.enc_v !== 2) fault("enc_v");
  if (!isHex(top.sequencer, 32)) fault("sequencer");
  for (const name of ["app", "desc"]) if (top[name] !== undefined && typeof top[name] !== "string") fault(name);
  const bundle = bundleOf(top.bundle);
  const sections = ["states", "traits", "readers", "moves", "grants", "transfers", "slots", "lifecycle", "customs"];
  const rbac = members(top.RBAC, "RBAC", ["init"], sections);
  const states = list(rbac, "states", MAX_STATES).map((value, i, all) => stateOf(value, `RBAC.states[${i}]`, all.slice(0, i)));
  const traits = traitsOf(list(rbac, "traits", MAX_TRAITS));
  const reader = new RowReader(states, traits);
  const init = list(rbac, "init", MAX_INIT).map((row, i) => reader.init(row, `RBAC.init[${i}]`));
  const manifest = {
    sequencer: top.sequencer as string,
    bundle,
    states,
    traits,
    readers: rows(rbac, "readers", (row, path) => reader.reader(row, path)),
    moves: rows(rbac, "moves", (row, path) => reader.move(row, path)),
    grants: rows(rbac, "grants", (row, path) => reader.grant(row, path)),
    transfers: rows(rbac, "transfers", (row, path) => reader.transfer(row, path)),
    slots: rows(rbac, "slots", (row, path) => reader.slot(row, path)),
    lifecycle: rows(rbac, "lifecycle", (row, path) => reader.lifecycle(row, path)),
    customs: rows(rbac, "customs", (row, path) => reader.custom(row, path)),
    init,
  };
  const counted = [manifest.readers, manifest.moves, manifest.grants, manifest.transfers, manifest.slots, manifest.lifecycle, manifest.customs];
  if (counted.reduce((sum, section) => sum + section.length, 0) > MAX_ROWS) fault("RBAC");
  const denied = [...manifest.moves, ...manifest.slots, ...manifest.lifecycle, ...manifest.customs].filter(denies);
  const restrictive = new Set(denied.flatMap((row) => row.operator).filter((column) => traits.some(({ name }) => name === column)));
  return { ...manifest, restrictive };
}

/** Whether a row holds a deny. */
export function denies(row: OpsRow): boolean {
  return row.ops.some((op) => op.startsWith("_"));
}

function members(value: Json | undefined, path: string, required: readonly string[], optional: readonly string[]): JsonObject {
  if (!isObject(value)) fault(path);
  for (const name of Object.keys(value)) if (!required.includes(name) && !optional.includes(name)) fault(path);
  for (const name of required) if (value[name] === undefined) fault(path === "" ? name : `${path}.${name}`);
  return value;
}

function list(rbac: JsonObject, section: string, max: number): readonly Json[] {
  const value = rbac[section] ?? [];
  if (rbac[section] === null || !isArray(value) || value.length > max) fault(`RBAC.${section}`);
  return value;
}

function rows<T>(rbac: JsonObject, section: string, read: (row: Json, path: string) => T): T[] {
  return list(rbac, section, Infinity).map((row, i) => read(row, `RBAC.${section}[${i}]`));
}

function bundleOf(value: Json | undefined): { size: number; timeout: number } {
  if (value === undefined) return DEFAULT_BUNDLE;
  const { size, timeout } = members(value, "bundle", [], ["size", "timeout"]);
  if (size !== undefined && !(isCount(size) && size >= 1 && size <= MAX_BUNDLE_SIZE)) fault("bundle.size");
  if (timeout !== undefined && !(isCount(timeout) && timeout >= MIN_TIMEOUT_MS && timeout <= MAX_TIMEOUT_MS)) fault("bundle.timeout");
  return { size: (size as number | undefined) ?? DEFAULT_BUNDLE.size, timeout: (timeout as number | undefined) ?? DEFAULT_BUNDLE.timeout };
}

function stateOf(value: Json, path: string, before: readonly Json[]): string {
  if (typeof value !== "string" || !STATE.test(value) || value === OUTSIDER || before.includes(value)) fault(path);
  return value;
}

function traitsOf(values: readonly Json[]): Trait[] {
  const traits: Trait[] = [];
  values.forEach((value, i) => {
    const [, name, digits] = typeof value === "string" ? (TRAIT.exec(value) ?? []) : [];
    const rank = Number(digits);
    if (name === undefined || traits.some((trait) => trait.name === name || trait.rank === rank)) fault(`RBAC.traits[${i}]`);
    traits.push({ name, rank });
  });
  return traits;
}

/** What a column may be beside a declared State or trait. */
type Extra = "Self" | "Sender" | "Public" | "OUTSIDER";

class RowReader {
  constructor(
    private readonly states: readonly string[],
    private readonly traits: readonly Trait[],
  ) {}

  reader(value: Json, path: string): Manifest["readers"][number] {
    const row = members(value, path, ["type", "reads"], ["retention"]);
    const type = this.column(row.type, `${path}.type`, ["Public", "OUTSIDER"]);
    const reads = row.reads === "*" ? row.reads : texts(row.reads, `${path}.reads`, isEventType);
    const retention = row.retention ?? "current";
    if (retention !== "current" && retention !== "snapshot") fault(`${path}.retention`);
    return { type, reads, retention };
  }

  move(value: Json, path: string): Manifest["moves"][number] {
    const row = members(value, path, ["event", "from", "to", "operator", "ops"], ["alias", "gate"]);
    if (row.event !== "Move") fault(`${path}.event`);
    const from = this.state(row.from, `${path}.from`);
    const to = this.state(row.to, `${path}.to`);
    if (from === to) fault(`${path}.to`);
    return { from, to, ...this.opsRow(row, path, ["Self"], ["C", "_C"]) };
  }

  grant(value: Json, path: string): Manifest["grants"][number] {
    const row = members(value, path, ["event", "operator", "scope", "trait"], []);
    if (row.event !== "Grant" && row.event !== "Revoke") fault(`${path}.event`);
    return {
      event: row.event,
      operator: this.columns(row.operator, `${path}.operator`, []),
      scope: this.scope(row.scope, path),
      trait: texts(row.trait, `${path}.trait`, (name) => this.isTrait(name)),
    };
  }

  transfer(value: Json, path: string): Manifest["transfers"][number] {
    const row = members(value, path, ["trait", "operator", "scope"], []);
    const { trait } = row;
    if (typeof trait !== "string" || !this.isTrait(trait)) fault(`${path}.trait`);
    return { trait, operator: this.columns(row.operator, `${path}.operator`, []), scope: this.scope(row.scope, path) };
  }

  slot(value: Json, path: string): Manifest["slots"][number] {
    const row = members(value, path, ["event", "operator", "ops", "key"], []);
    const { event, key } = row;
    if (event !== "Shared" && event !== "Own") fault(`${path}.event`);
    if (typeof key !== "string" || !NAME.test(key)) fault(`${path}.key`);
    const extra: Extra[] = event === "Own" ? ["Self", "Public", "OUTSIDER"] : ["Public", "OUTSIDER"];
    return { event, key, ...this.opsRow(row, path, extra, OPS) };
  }

  lifecycle(value: Json, path: string): EventRow {
    const row = members(value, path, ["event", "operator", "ops"], []);
    if (row.event !== "Pause" && row.event !== "Resume" && row.event !== "Terminate") fault(`${path}.event`);
    return { event: row.event, ...this.opsRow(row, path, [], ["C", "_C"]) };
  }

  custom(value: Json, path: string): EventRow {
    const row = members(value, path, ["event", "operator", "ops"], ["alias", "gate"]);
    const { event } = row;
    if (!isEventType(event) || PROTOCOL_NAMES.includes(event)) fault(`${path}.event`);
    const read = this.opsRow(row, path, ["Sender", "Public", "OUTSIDER"], OPS);
    if (read.operator.includes("Sender") && !read.ops.every((op) => ["U", "D", "_U", "_D"].includes(op))) fault(`${path}.ops`);
    return { event, ...read };
  }

  init(value: Json, path: string): Manifest["init"][number] {
    const row = members(value, path, ["identity", "state", "traits"], []);
    if (!isHex(row.identity, 32)) fault(`${path}.identity`);
    const { traits } = row;
    const sound = isArray(traits) && traits.every((name) => this.isTrait(name)) && new Set(traits).size === traits.length;
    if (!sound) fault(`${path}.traits`);
    return { identity: row.identity, state: this.state(row.state, `${path}.state`), traits: traits as string[] };
  }

  private opsRow(row: JsonObject, path: string, extra: readonly Extra[], allowed: readonly string[]): OpsRow {
    const operator =
      typeof row.operator === "string"
        ? [this.column(row.operator, `${path}.operator`, extra)]
        : this.columns(row.operator, `${path}.operator`, extra);
    const ops = texts(row.ops, `${path}.ops`, (op) => allowed.includes(op)) as readonly Op[];
    const { alias } = row;
    if (alias !== undefined && !(typeof alias === "string" && NAME.test(alias))) fault(`${path}.alias`);
    const gate = row.gate === undefined ? undefined : this.gate(row.gate, `${path}.gate`);
    if (gate !== undefined && alias === undefined) fault(`${path}.alias`);
    return { operator, ops, ...(alias === undefined ? {} : { alias }), ...(gate === undefined ? {} : { gate }) };
  }

  private gate(value: Json, path: string): Gate {
    const { operator, open } = members(value, path, ["operator"], ["open"]);
    const columns = this.columns(operator, `${path}.operator`, []);
    if (open !== undefined && typeof open !== "boolean") fault(`${path}.open`);
    return { operator: columns, open: open ?? false };
  }

  private columns(value: Json | undefined, path: string, extra: readonly Extra[]): readonly string[] {
    return texts(value, path, (column) => this.isColumn(column, extra));
  }

  private column(value: Json | undefined, path: string, extra: readonly Extra[]): string {
    if (typeof value !== "string" || !this.isColumn(value, extra)) fault(path);
    return value;
  }

  private isColumn(value: string, extra: readonly Extra[]): boolean {
    return this.states.includes(value) || this.isTrait(value) || extra.includes(value as Extra);
  }

  private isTrait(value: Json): boolean {
    return this.traits.some(({ name }) => name === value);
  }

  private scope(value: Json | undefined, path: string): readonly string[] {
    return texts(value, `${path}.scope`, (state) => state === OUTSIDER || this.states.includes(state));
  }

  private state(value: Json | undefined, path: string): string {
    if (typeof value !== "string" || (value !== OUTSIDER && !this.states.includes(value))) fault(path);
    return value;
  }
}

/** An array of one text or more, each of which is `sound`. */
function texts(value: Json | undefined, path: string, sound: (text: string) => boolean): readonly string[] {
  if (!isArray(value) || value.length === 0 || !value.every((text) => typeof text === "string" && sound(text))) fault(path);
  return value as readonly string[];
}
