// Random enclaves and commits from a printed seed.

import { toHex, utf8 } from "../src/bytes.js";
import type { Tags } from "../src/commit.js";
import { sha256 } from "../src/hash.js";
import type { Json } from "../src/json.js";
import type { Keypair } from "../src/key.js";
import { Refusal } from "../src/refusal.js";
import type { Ledger } from "../src/kernel/index.js";

export interface Cast {
  /** The first makes the enclave. */
  readonly people: readonly Keypair[];
  readonly sequencer: string;
}

export interface Step {
  readonly key: Keypair;
  readonly type: string;
  readonly content: Json;
  readonly tags: Tags;
}

/** A generator that gives the same numbers for the same seed everywhere. */
export class Random {
  private count = 0;

  constructor(private readonly seed: string) {}

  /** 0 … n − 1. */
  below(n: number): number {
    const bytes = sha256(utf8(`${this.seed} ${this.count++}`));
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % n;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** Some of the items, one at least. */
  some<T>(items: readonly T[]): T[] {
    const chosen = items.filter(() => this.chance(40));
    return chosen.length === 0 ? [this.pick(items)] : chosen;
  }

  private readers(): Json[] {
    const columns = ["MEMBER", "GUEST", "BLOCKED", "OUTSIDER", "Public", "owner", "admin", "muted", "helper"];
    const types = ["Manifest", "Move", "message", "poll", "note", "Shared", "Own", "Update", "Grant", "Gate", "ghost"];
    const row = (type: string) => ({
      type, reads: this.chance(30) ? "*" : this.some(types), ...(this.chance(50) ? { retention: this.pick(["current", "snapshot"]) } : {}),
    });
    return this.some(columns).map(row);
  }

  /** A Manifest that holds the grammar, with rules thrown at random. */
  manifest({ people, sequencer }: Cast): Json {
    const states = ["MEMBER", "GUEST", "BLOCKED"];
    const traits = ["owner(0)", "admin(1)", "muted(2)", "helper(3)", "silent(4)"];
    const powers = ["owner", "admin", "helper", "MEMBER"];
    const everyone = [...states, "OUTSIDER", "owner", "admin", "muted", "helper"];
    const gate = (alias: string) => (this.chance(30) ? { alias, gate: { operator: this.some(powers), open: this.chance(50) } } : {});
    const all = ["OUTSIDER", ...states];
    const moves = all.flatMap((from) =>
      all.filter((to) => to !== from).map((to) => ({
        event: "Move", from, to, operator: this.some([...powers, "Self", "Self"]), ops: ["C"], ...gate(`move_${from}_${to}`),
      })),
    );
    if (this.chance(50)) moves.push({ event: "Move", from: "MEMBER", to: "GUEST", operator: ["silent"], ops: ["_C"] } as never);
    const grants = ["Grant", "Revoke"].flatMap((event) =>
      [0, 1, 2, 3].map(() => ({ event, operator: this.some(powers), scope: this.some(all), trait: this.some(["admin", "muted", "helper", "silent", "owner"]) })),
    );
    const custom = (event: string, i: number) => [
      { event, operator: this.some([...everyone, "Public"]), ops: this.some(["C", "U", "D", "R"]), ...gate(`custom_${event}_${i}`) },
      { event, operator: "Sender", ops: this.some(["U", "D"]) },
      { event, operator: this.some(["muted", "silent", "BLOCKED"]), ops: this.some(["_C", "_U", "_D", "_R"]) },
    ];
    const slot = (event: string, key: string) => [
      { event, key, operator: this.some(event === "Own" ? [...everyone, "Self"] : everyone), ops: this.some(["C", "U", "D"]) },
      ...(this.chance(40) ? [{ event, key, operator: this.some(["muted", "silent"]), ops: this.some(["_C", "_U", "_D", "_R", "R"]) }] : []),
    ];
    return {
      enc_v: 2,
      sequencer,
      bundle: { size: 1 + this.below(7), timeout: 3_600_000 },
      RBAC: {
        states, traits, moves, grants,
        readers: this.readers(),
        transfers: [{ trait: "owner", operator: this.some(powers), scope: this.some(all) }, { trait: "helper", operator: this.some(powers), scope: this.some(all) }],
        slots: [...slot("Shared", "topic"), ...slot("Shared", "rules"), ...slot("Own", "profile")],
        lifecycle: ["Pause", "Resume", "Terminate"].map((event) => ({ event, operator: this.some(event === "Terminate" ? ["owner"] : powers), ops: ["C"] })),
        customs: ["message", "poll", "note"].flatMap(custom),
        init: people.slice(0, 3).map((key, i) => ({
          identity: key.pub, state: i === 0 ? "MEMBER" : this.pick(all), traits: i === 0 ? ["owner", "admin"] : this.some(["admin", "muted", "helper"]),
        })),
      },
    } as unknown as Json;
  }
}

/** How often a commit is looked for that the kernel takes, in percent; left to chance most are refused. */
const SOUGHT = 55;

/** A commit that may or may not be taken. */
export function randomStep(random: Random, cast: Cast, ledger: Ledger): Step {
  const sought = random.chance(SOUGHT);
  let step = anyStep(random, cast, ledger);
  for (let tries = 0; sought && tries < 30 && !isTaken(ledger, step); tries++) step = anyStep(random, cast, ledger);
  return step;
}

function isTaken(ledger: Ledger, { key, type, content, tags }: Step): boolean {
  // A Terminate or Migrate would end the script, a Pause make it dull.
  if (["Terminate", "Migrate", "Pause"].includes(type)) return false;
  try {
    const zeros = "00".repeat(32);
    ledger.draft({ hash: zeros, enclave: ledger.id, from: key.pub, type, content, exp: 0, tags, sig: zeros + zeros }, 0, () => false);
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

function anyStep(random: Random, { people }: Cast, ledger: Ledger): Step {
  const key = random.chance(25) ? (people[0] as Keypair) : random.pick(people);
  const type = random.pick([
    "Move", "Move", "Move", "Move", "Grant", "Grant", "Revoke", "Revoke", "Transfer", "Gate", "Gate", "AC_Bundle", "AC_Bundle", "Shared", "Shared", "Own", "Own",
    "Update", "Update", "Delete", "message", "message", "poll", "note", "Resume", random.chance(20) ? "Pause" : "Move",
    random.pick(["ghost", "Recovered", "Migrate", "Receipt", "Manifest"]),
  ]);
  return { key, type, content: contentFor(random, people, type, ledger), tags: tagsFor(random, type, ledger) };
}

function tagsFor(random: Random, type: string, ledger: Ledger): Tags {
  if (type !== "Update" && type !== "Delete") return [];
  const apps = ledger.events.filter(({ type: of }) => ["message", "poll", "note"].includes(of));
  const known = random.chance(80) && apps.length > 0 ? random.pick(apps) : random.pick(ledger.events);
  const id = random.chance(90) ? known.id : toHex(sha256(utf8(String(random.below(9)))));
  if (random.chance(4)) return [["r", id], ["r", id]];
  if (random.chance(3)) return [["r", id, "x"]];
  if (random.chance(3)) return [];
  return [["a"], ["r", id]];
}

function contentFor(random: Random, people: readonly Keypair[], type: string, ledger: Ledger): Json {
  const target = random.chance(97) ? random.pick(people).pub : "00".repeat(31) + "05";
  const trait = random.pick(["owner", "admin", "muted", "helper", "silent", "ghost"]);
  switch (type) {
    case "Move": {
      const to = random.pick(["OUTSIDER", "MEMBER", "GUEST", "BLOCKED", "GHOST"]);
      return random.chance(10) ? { target, to, reason: "why" } : { target, to };
    }
    case "Grant":
    case "Revoke":
    case "Transfer":
      return random.chance(2) ? { target, trait, more: 1 } : { target, trait };
    case "Gate": {
      const aliases = [...ledger.manifest.moves, ...ledger.manifest.customs].flatMap(({ alias }) => (alias === undefined ? [] : [alias]));
      return { alias: random.chance(85) && aliases.length > 0 ? random.pick(aliases) : "nowhere", open: random.chance(60) };
    }
    case "AC_Bundle": {
      const types = ["Move", "Move", "Grant", "Revoke", "Transfer", "Gate"];
      if (random.chance(3)) return { ops: [] };
      const op = () => {
        const inner = random.chance(3) ? random.pick(["AC_Bundle", "message", "Pause"]) : random.pick(types);
        return { type: inner, content: inner === "AC_Bundle" ? { ops: [] } : contentFor(random, people, inner, ledger) };
      };
      return { ops: Array.from({ length: 1 + random.below(3) }, op) };
    }
    case "Shared":
    case "Own":
      return { key: random.pick(["topic", "rules", "profile", "ghost"]), value: random.chance(30) ? null : random.below(5) };
    case "Pause":
    case "Resume":
    case "Terminate":
      return random.chance(5) ? { x: 1 } : {};
    case "Migrate":
      return { new_sequencer: target, prev_seq: ledger.events.length - (random.chance(50) ? 2 : 3), ct_root: ledger.root() };
    case "Recovered":
      return { prev_seq: ledger.events.length - 1 };
    default:
      return random.pick<Json>(["text", 5, null, [], { a: [1] }]);
  }
}
