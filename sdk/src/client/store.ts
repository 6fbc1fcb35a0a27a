// What a client keeps of an enclave between visits.

import type { Receipt } from "../event.js";
import type { Sth } from "../sth.js";

export interface Kept {
  /** The newest tree head seen: a smaller or inconsistent one is refused. */
  readonly sth?: Sth;
  /** Receipts whose events were not yet shown to be in the log. */
  readonly receipts: readonly Receipt[];
}

/** Where it is kept. */
export interface Store {
  load(enclave: string): Promise<Kept | undefined>;
  save(enclave: string, kept: Kept): Promise<void>;
}

/** Keeps nothing beyond the process. A client that is started anew with it cannot notice a rollback. */
export class MemoryStore implements Store {
  private readonly kept = new Map<string, Kept>();

  load(enclave: string): Promise<Kept | undefined> {
    return Promise.resolve(this.kept.get(enclave));
  }

  save(enclave: string, kept: Kept): Promise<void> {
    this.kept.set(enclave, kept);
    return Promise.resolve();
  }
}

/** Keeps it in a browser's `localStorage`, or in anything like it. */
export class WebStore implements Store {
  constructor(private readonly storage: { getItem(name: string): string | null; setItem(name: string, value: string): void }) {}

  load(enclave: string): Promise<Kept | undefined> {
    const text = this.storage.getItem("enc:" + enclave);
    return Promise.resolve(text === null ? undefined : (JSON.parse(text) as Kept));
  }

  save(enclave: string, kept: Kept): Promise<void> {
    this.storage.setItem("enc:" + enclave, JSON.stringify(kept));
    return Promise.resolve();
  }
}
