// The referee's heads log (spec section 5).

import { toHex } from "../bytes.js";
import { encodeHead } from "../heads.js";
import type { JsonObject } from "../json.js";
import { Log, logLeaf } from "../log.js";
import { checkpointText, signNote, vkey } from "../note.js";
import { Refusal } from "../refusal.js";
import { tile, type TilePath } from "../tile.js";
import type { Hosted } from "./hosted.js";

interface Closing {
  readonly enclave: string;
  readonly tree_size: number;
  readonly root_hash: string;
  readonly index: number;
}

export class HeadsLog {
  private readonly log = new Log();
  private readonly entries: Uint8Array[] = [];
  private readonly newest = new Map<string, Closing[]>();
  private readonly origin: string;

  constructor(
    name: string,
    private readonly seed: Uint8Array,
  ) {
    this.origin = `${name}/heads`;
  }

  get vkey(): string {
    return vkey(this.origin, this.seed);
  }

  /** Enters the newest head of an enclave. */
  enter({ id, ledger }: Hosted): void {
    const head = { tree_size: ledger.bundles.length, root_hash: ledger.root() };
    const entry = encodeHead(id, head);
    const closings = this.newest.get(id) ?? [];
    this.newest.set(id, closings);
    closings.push({ enclave: id, ...head, index: this.entries.length });
    this.entries.push(entry);
    this.log.append(logLeaf(entry));
  }

  checkpoint(): string {
    return signNote(this.origin, this.seed, checkpointText(this.origin, { tree_size: this.log.size, root_hash: toHex(this.log.root()) }));
  }

  tile(path: TilePath): Uint8Array | undefined {
    return tile(this.log, this.log.size, path, (index) => this.entries[index] as Uint8Array);
  }

  /** Where a head of `enclave` stands: the newest, or that of `size`. */
  proof(enclave: string, size: number | undefined): JsonObject {
    const closings = this.newest.get(enclave) ?? [];
    const closing = size === undefined ? closings[closings.length - 1] : closings.find(({ tree_size }) => tree_size === size);
    if (closing === undefined) throw new Refusal("not_bundled");
    const { tree_size, root_hash, index } = closing;
    const audit_path = this.log.inclusion(index, this.log.size).map(toHex);
    return { enclave, tree_size, root_hash, leaf_index: index, heads_size: this.log.size, audit_path, checkpoint: this.checkpoint() };
  }
}
