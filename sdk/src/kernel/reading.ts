// Who may read what (spec section 4.4).

import type { Event } from "../event.js";
import type { Ledger } from "./ledger.js";
import type { Op, OpsRow } from "./manifest.js";

/** Events that say nothing of their own: who may read what they refer to reads them. */
const REFERRING = ["Update", "Delete"];

/** What one identity may read of an enclave as it is now. `reader` is null without a session. */
export class Reading {
  constructor(
    private readonly ledger: Ledger,
    private readonly reader: string | null,
  ) {}

  /** Whether the reader may have `event` by Query or Pull: as a reader of now, or up to its departure. */
  mayQuery(event: Event): boolean {
    return this.mayRead(event) || this.mayReadDeparted(event);
  }

  /** Whether the reader may read `event` as it is now: for proofs, subscriptions and deliveries. */
  mayRead(event: Event): boolean {
    const of = this.subject(event);
    return of !== undefined && this.readsType(of.type);
  }

  /** Whether anything at all may be read now. */
  readsAnything(): boolean {
    const { readers, customs } = this.ledger.manifest;
    const matching = readers.filter(({ type }) => this.matches(type));
    if (matching.some(({ reads }) => reads === "*")) return true;
    const listed = matching.flatMap(({ reads }) => (reads === "*" ? [] : reads)).filter((type) => !REFERRING.includes(type));
    return [...listed, ...customs.map(({ event }) => event)].some((type) => this.readsType(type));
  }

  /** Whether anything may be read by Query or Pull. */
  queriesAnything(): boolean {
    return this.readsAnything() || this.departed().length > 0;
  }

  /** Whether the reader holds `op` (P or N) on what `event` is. */
  holds(op: "P" | "N", event: Event): boolean {
    const rows = this.rowsOf(event.type, event.type === "Shared" || event.type === "Own" ? keyOf(event) : undefined);
    return this.ledger.roles.allowed(rows, { author: this.reader }).has(op);
  }

  /** Whether the reader holds P or N on anything. */
  holdsAnyPush(): boolean {
    const { customs, slots } = this.ledger.manifest;
    const types = new Set(customs.map(({ event }) => event));
    const has = (rows: readonly OpsRow[]): boolean => {
      const allowed = this.ledger.roles.allowed(rows, { author: this.reader });
      return allowed.has("P") || allowed.has("N");
    };
    return [...types].some((type) => has(this.rowsOf(type, undefined))) || slots.some(({ event, key }) => has(this.rowsOf(event, key)));
  }

  private rowsOf(type: string, key: string | undefined): readonly OpsRow[] {
    const { customs, slots } = this.ledger.manifest;
    return key === undefined
      ? customs.filter(({ event }) => event === type)
      : slots.filter((row) => row.event === type && row.key === key);
  }

  private subject(event: Event): Event | undefined {
    return REFERRING.includes(event.type) ? this.ledger.referredBy(event) : event;
  }

  private readsType(type: string): boolean {
    const { readers, customs } = this.ledger.manifest;
    const given =
      readers.some((row) => this.matches(row.type) && (row.reads === "*" || row.reads.includes(type))) ||
      this.anyRow(customs.filter(({ event }) => event === type), "R");
    return given && !this.denied(type);
  }

  private mayReadDeparted(event: Event): boolean {
    const of = this.subject(event);
    if (of === undefined || this.denied(of.type)) return false;
    return this.departed().some(({ row, until }) => event.seq <= until && (row.reads === "*" || row.reads.includes(of.type)));
  }

  private departed() {
    const { reader, ledger } = this;
    if (reader === null) return [];
    return ledger.manifest.readers.flatMap((row) => {
      const until = ledger.departures.until(reader, row);
      return until === undefined ? [] : [{ row, until }];
    });
  }

  private denied(type: string): boolean {
    const { customs, slots } = this.ledger.manifest;
    return this.anyRow([...customs, ...slots].filter(({ event }) => event === type), "_R");
  }

  private anyRow(rows: readonly OpsRow[], op: Op): boolean {
    return rows.some((row) => row.ops.includes(op) && row.operator.some((column) => this.matches(column)));
  }

  private matches(column: string): boolean {
    return this.ledger.roles.matches(column, { author: this.reader });
  }
}

function keyOf(event: Event): string | undefined {
  return (event.content as { readonly key?: string } | undefined)?.key;
}
