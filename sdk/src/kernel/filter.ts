// The filter of a Query (spec section 7).

import { isHex } from "../bytes.js";
import { misshapen, refuseOthers } from "../commit.js";
import type { Event } from "../event.js";
import { isArray, isCount, isObject, type Json } from "../json.js";
import { Refusal } from "../refusal.js";

const MAX_ANY_OF = 256;
const MAX_LIMIT = 1000;
const DEFAULT_LIMIT = 100;

type Test = (event: Event) => boolean;

export interface Filter {
  readonly limit: number;
  readonly reverse: boolean;
  /** Whether every member of the filter holds of `event`. */
  readonly matches: Test;
}

/** Reads a filter; left out means everything. `invalid_structure`, `limit_exceeded`. */
export function parseFilter(value: Json | undefined): Filter {
  const filter = value === undefined ? {} : value;
  if (!isObject(filter)) misshapen("filter");
  refuseOthers(filter, ["id", "hash", "from", "type", "seq", "timestamp", "tags", "limit", "reverse"]);
  const tests: Test[] = [];
  for (const name of ["id", "hash", "from"] as const) tests.push(...anyOf(filter[name], name, (one) => isHex(one, 32)));
  tests.push(...anyOf(filter.type, "type", (one) => typeof one === "string"));
  for (const name of ["seq", "timestamp"] as const) tests.push(...numbers(filter[name], name));
  tests.push(...tags(filter.tags));
  const { limit = DEFAULT_LIMIT, reverse = false } = filter;
  if (!isCount(limit) || limit === 0) misshapen("limit");
  if (typeof reverse !== "boolean") misshapen("reverse");
  if (limit > MAX_LIMIT) throw new Refusal("limit_exceeded", { limit: MAX_LIMIT });
  return { limit, reverse, matches: (event) => tests.every((test) => test(event)) };
}

type Member = "id" | "hash" | "from" | "type" | "seq" | "timestamp";

function anyOf(value: Json | undefined, name: Member, sound: (one: Json) => boolean): Test[] {
  if (value === undefined) return [];
  const all = isArray(value) ? value : [value];
  if (all.length > MAX_ANY_OF) throw new Refusal("limit_exceeded", { limit: MAX_ANY_OF });
  if (!all.every(sound)) misshapen(name);
  return [(event) => all.includes(event[name])];
}

function numbers(value: Json | undefined, name: "seq" | "timestamp"): Test[] {
  if (!isObject(value)) return anyOf(value, name, isCount);
  refuseOthers(value, ["start_after", "start_at", "end_before", "end_at"]);
  const { start_after, start_at, end_before, end_at } = value;
  const bounds = [start_after, start_at, end_before, end_at].filter((bound) => bound !== undefined);
  const twice = (start_after !== undefined && start_at !== undefined) || (end_before !== undefined && end_at !== undefined);
  if (!bounds.every(isCount) || bounds.length === 0 || twice) misshapen(name);
  return [
    (event) => {
      const at = event[name];
      return (
        (start_after === undefined || at > (start_after as number)) && (start_at === undefined || at >= (start_at as number)) &&
        (end_before === undefined || at < (end_before as number)) && (end_at === undefined || at <= (end_at as number))
      );
    },
  ];
}

function tags(value: Json | undefined): Test[] {
  if (value === undefined) return [];
  if (!isArray(value)) misshapen("tags");
  if (value.length > MAX_ANY_OF) throw new Refusal("limit_exceeded", { limit: MAX_ANY_OF });
  const sound = (row: Json): row is readonly string[] =>
    isArray(row) && row.length >= 1 && row.length <= 2 && row.every((text) => typeof text === "string");
  if (!value.every(sound)) misshapen("tags");
  const rows = value as readonly (readonly string[])[];
  return [(event) => rows.some((row) => event.tags.some((tag) => row.every((text, i) => tag[i] === text)))];
}
