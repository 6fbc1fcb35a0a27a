// What a page of events must satisfy beside each event by itself.

import { eventHash, type Event } from "../event.js";
import { parseFilter } from "../kernel/index.js";
import { isObject, type Json, type JsonObject } from "../json.js";
import { demand } from "./fault.js";

/** Follows the events of one filter in order and refuses gaps where the filter lets them be seen. */
export class Sequence {
  private last: Event | undefined;
  private readonly reverse: boolean;
  private readonly matches: (event: Event) => boolean;
  private readonly fromStart: boolean;
  private readonly everything: boolean;
  private readonly oneType: boolean;

  /** `complete` says that the reader may read every type, so that without a filter nothing may be left out. */
  constructor(filter: JsonObject, complete: boolean) {
    const { reverse, matches } = parseFilter(filter);
    this.reverse = reverse;
    this.matches = matches;
    const members = Object.keys(filter).filter((name) => !["limit", "reverse", "seq"].includes(name));
    this.fromStart = !reverse && filter.seq === undefined;
    this.everything = complete && members.length === 0 && isRange(filter.seq);
    // An Update or Delete is read with what it refers to, so some of their type may be left out rightly.
    const whole = typeof filter.type === "string" && !["Update", "Delete"].includes(filter.type);
    this.oneType = members.length === 1 && whole && isRange(filter.seq);
  }

  /** Takes the next event. Throws `Unproven`. */
  take(event: Event): void {
    demand(this.matches(event), `event ${event.seq} does not match what was asked for`);
    const { last } = this;
    this.last = event;
    if (last === undefined) {
      const first = this.everything ? event.seq : this.oneType ? event.type_seq : 0;
      demand(!this.fromStart || first === 0, `a gap before event ${event.seq}`);
      return;
    }
    const [before, after] = this.reverse ? [event, last] : [last, event];
    demand(before.seq < after.seq, "events out of order");
    if (after.seq === before.seq + 1) demand(after.prev === eventHash(before, before), `event ${after.seq} does not follow the one before`);
    if (this.everything) demand(after.seq === before.seq + 1, `a gap before event ${after.seq}`);
    if (this.oneType) demand(after.type_seq === before.type_seq + 1, `a gap before event ${after.seq}`);
  }
}

/** The filter of the page after the one that ended with `next`. */
export function filterAfter(filter: JsonObject, next: number): JsonObject {
  const bounds = isObject(filter.seq) ? filter.seq : {};
  const kept = filter.reverse === true ? ["start_at", "start_after"] : ["end_at", "end_before"];
  const others = Object.fromEntries(Object.entries(bounds).filter(([name]) => kept.includes(name)));
  return { ...filter, seq: { ...others, ...(filter.reverse === true ? { end_before: next } : { start_after: next }) } };
}

function isRange(seq: Json | undefined): boolean {
  return seq === undefined || isObject(seq);
}
