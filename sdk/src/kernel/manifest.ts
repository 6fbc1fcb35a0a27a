// The Manifest (spec section 4.1): its parsed form.

/** Operations and their denies. */
export const OPS = ["C", "R", "U", "D", "N", "P", "_C", "_R", "_U", "_D", "_N", "_P"] as const;
export type Op = (typeof OPS)[number];
export type Plain = "C" | "R" | "U" | "D" | "N" | "P";

export const OUTSIDER = "OUTSIDER";

export interface Trait {
  readonly name: string;
  readonly rank: number;
}

export interface Gate {
  readonly operator: readonly string[];
  readonly open: boolean;
}

/** A row that gives or denies operations. */
export interface OpsRow {
  readonly operator: readonly string[];
  readonly ops: readonly Op[];
  readonly alias?: string;
  readonly gate?: Gate;
}

export interface MoveRow extends OpsRow {
  readonly from: string;
  readonly to: string;
}

export interface EventRow extends OpsRow {
  readonly event: string;
}

export interface SlotRow extends OpsRow {
  readonly event: "Shared" | "Own";
  readonly key: string;
}

export interface GrantRow {
  readonly event: "Grant" | "Revoke";
  readonly operator: readonly string[];
  readonly scope: readonly string[];
  readonly trait: readonly string[];
}

export interface TransferRow {
  readonly trait: string;
  readonly operator: readonly string[];
  readonly scope: readonly string[];
}

export interface ReaderRow {
  readonly type: string;
  readonly reads: "*" | readonly string[];
  readonly retention: "current" | "snapshot";
}

export interface InitRow {
  readonly identity: string;
  readonly state: string;
  readonly traits: readonly string[];
}

export interface Manifest {
  readonly sequencer: string;
  readonly bundle: { readonly size: number; readonly timeout: number };
  readonly states: readonly string[];
  readonly traits: readonly Trait[];
  readonly readers: readonly ReaderRow[];
  readonly moves: readonly MoveRow[];
  readonly grants: readonly GrantRow[];
  readonly transfers: readonly TransferRow[];
  readonly slots: readonly SlotRow[];
  readonly lifecycle: readonly EventRow[];
  readonly customs: readonly EventRow[];
  readonly init: readonly InitRow[];
  /** Traits that some deny names as its column. */
  readonly restrictive: ReadonlySet<string>;
}

/** The bit of a trait in a bitmask. */
export function traitBit(manifest: Manifest, trait: string): bigint {
  return 1n << BigInt(8 + manifest.traits.findIndex(({ name }) => name === trait));
}

/** The number of a State: 0 is OUTSIDER. */
export function stateNumber(manifest: Manifest, state: string): number {
  return manifest.states.indexOf(state) + 1;
}

/** The bitmask of section 4.1. */
export function maskOf(manifest: Manifest, state: string, traits: readonly string[]): bigint {
  return traits.reduce((mask, trait) => mask | traitBit(manifest, trait), BigInt(stateNumber(manifest, state)));
}

/** Every row that has a gate. */
export function gatedRows(manifest: Manifest): readonly (OpsRow & { readonly alias: string; readonly gate: Gate })[] {
  return [...manifest.moves, ...manifest.customs].filter(
    (row): row is typeof row & { alias: string; gate: Gate } => row.alias !== undefined && row.gate !== undefined,
  );
}
