// Who is what, and who matches which column (spec sections 4.1 and 4.2).

import { OUTSIDER, stateNumber, traitBit, type Manifest, type OpsRow, type Plain } from "./manifest.js";

/** Who asks, and how that identity stands to what is acted on. `author` is null without a session. */
export interface Actor {
  readonly author: string | null;
  /** The identity acted on, for `Self`. */
  readonly target?: string;
  /** Whether the author wrote the event acted on, for `Sender`. */
  readonly wrote?: boolean;
}

export class Roles {
  private constructor(
    readonly manifest: Manifest,
    private readonly masks: Map<string, bigint>,
    private readonly open: Map<string, boolean>,
  ) {}

  static of(manifest: Manifest): Roles {
    return new Roles(manifest, new Map(), new Map());
  }

  /** A copy that changes apart from this one. */
  fork(): Roles {
    return new Roles(this.manifest, new Map(this.masks), new Map(this.open));
  }

  mask(identity: string): bigint {
    return this.masks.get(identity) ?? 0n;
  }

  setMask(identity: string, mask: bigint): void {
    if (mask === 0n) this.masks.delete(identity);
    else this.masks.set(identity, mask);
  }

  isOpen(alias: string): boolean {
    return this.open.get(alias) ?? false;
  }

  setOpen(alias: string, open: boolean): void {
    this.open.set(alias, open);
  }

  state(identity: string): string {
    return this.manifest.states[Number(this.mask(identity) & 0xffn) - 1] ?? OUTSIDER;
  }

  holds(identity: string, trait: string): boolean {
    return this.manifest.traits.some(({ name }) => name === trait) && (this.mask(identity) & traitBit(this.manifest, trait)) !== 0n;
  }

  /** The least rank number among the non-restrictive traits; State OWNER counts as 0; none is infinite. */
  rank(identity: string): number {
    const held = this.manifest.traits.filter(({ name }) => !this.manifest.restrictive.has(name) && this.holds(identity, name));
    const ranks = held.map(({ rank }) => rank);
    if (this.state(identity) === "OWNER") ranks.push(0);
    return Math.min(Infinity, ...ranks);
  }

  /** The bitmask of `identity` in another State, its non-restrictive traits gone where `stripped`. */
  moved(identity: string, to: string, stripped: boolean): bigint {
    const { traits, restrictive } = this.manifest;
    const kept = traits.filter(({ name }) => this.holds(identity, name) && !(stripped && !restrictive.has(name)));
    return kept.reduce((mask, { name }) => mask | traitBit(this.manifest, name), BigInt(stateNumber(this.manifest, to)));
  }

  /** Whether `identity` is an owner: by trait `owner` where one is declared, else by State OWNER. */
  isOwner(identity: string): boolean {
    const declared = this.manifest.traits.some(({ name }) => name === "owner");
    return declared ? this.holds(identity, "owner") : this.state(identity) === "OWNER";
  }

  /** Whether `identity` is the only owner. */
  isLastOwner(identity: string): boolean {
    if (!this.isOwner(identity)) return false;
    for (const other of this.masks.keys()) if (other !== identity && this.isOwner(other)) return false;
    return true;
  }

  matches(column: string, actor: Actor): boolean {
    switch (column) {
      case "Public":
        return true;
      case "Self":
        return actor.author !== null && actor.author === actor.target;
      case "Sender":
        return actor.wrote === true;
      default:
        return actor.author !== null && (this.state(actor.author) === column || this.holds(actor.author, column));
    }
  }

  matchesAny(columns: readonly string[], actor: Actor): boolean {
    return columns.some((column) => this.matches(column, actor));
  }

  /** The effective set of `rows`: what matching columns give, minus what matching denies take. */
  allowed(rows: readonly OpsRow[], actor: Actor): ReadonlySet<Plain> {
    const ops = new Set(rows.filter((row) => this.matchesAny(row.operator, actor)).flatMap((row) => row.ops));
    const plain = [...ops].filter((op): op is Plain => !op.startsWith("_"));
    return new Set(plain.filter((op) => !ops.has(`_${op}`)));
  }
}
