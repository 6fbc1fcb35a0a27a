// Who may go on reading after leaving (spec section 4.4, retention "snapshot").

import type { Event } from "../event.js";
import type { Manifest, ReaderRow } from "./manifest.js";
import type { Roles } from "./roles.js";

export class Departures {
  /** By identity: for each reader row with snapshot retention, the seq of the last own Move by which it stopped matching. */
  private readonly left = new Map<string, Map<ReaderRow, number>>();
  private matched: readonly ReaderRow[] = [];
  private readonly rows: readonly ReaderRow[];

  constructor(manifest: Manifest) {
    this.rows = manifest.readers.filter(({ retention }) => retention === "snapshot");
  }

  /** Up to which seq `identity` may go on reading by `row`; undefined where not at all. */
  until(identity: string, row: ReaderRow): number | undefined {
    return this.left.get(identity)?.get(row);
  }

  /** Before an event changes the roles: who it moves, and what that identity matches so far. */
  before(roles: Roles, event: Event): void {
    const own = movesIn(event.type, event.content).includes(event.from);
    this.matched = own ? this.rows.filter(({ type }) => roles.matches(type, { author: event.from })) : [];
    for (const identity of movedByAnother(event)) this.left.delete(identity);
  }

  /** After them. */
  after(roles: Roles, event: Event): void {
    for (const row of this.matched) {
      if (roles.matches(row.type, { author: event.from })) continue;
      const rows = this.left.get(event.from) ?? new Map<ReaderRow, number>();
      this.left.set(event.from, rows.set(row, event.seq));
    }
    this.matched = [];
  }
}

/** The targets of Moves in `event` that are not its author. */
function movedByAnother(event: Event): string[] {
  return movesIn(event.type, event.content).filter((target) => target !== event.from);
}

function movesIn(type: unknown, content: unknown): string[] {
  const members = content as { readonly target?: string; readonly ops?: readonly { type: string; content: unknown }[] };
  if (type === "Move") return [members.target as string];
  return type === "AC_Bundle" ? (members.ops ?? []).flatMap((op) => movesIn(op.type, op.content)) : [];
}
