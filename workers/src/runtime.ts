// The Runtime of `service` on a Durable Object: ten I/O methods and four capabilities, and nothing that is a rule.
import { Keys } from "./keys";
import { rows, type Sql, text, values } from "./wire";

/** What the running request reads and leaves behind. */
export interface Running {
  line: Uint8Array;
  body: Uint8Array;
  response?: Response;
}

interface Exports {
  memory: WebAssembly.Memory;
  reserve(length: number): number;
  init(facts: bigint): number;
  handle(): number;
  alarm(enclave: bigint): number;
}

/** Faults as the module numbers them. */
const STORAGE = -3;
const KEY = -4;

export class Runtime {
  readonly guest: Exports;
  running?: Running;
  /** The earliest alarm that the running request has set: for whom, and when. */
  alarm?: { enclave: Uint8Array; at: number };

  constructor(
    module: WebAssembly.Module,
    private readonly sql: SqlStorage,
    private readonly keys: Keys,
    readonly clock: () => number,
  ) {
    this.guest = new WebAssembly.Instance(module, { enc: this.imports() }).exports as unknown as Exports;
  }

  /** Hands bytes over: pointer in the upper half, length in the lower. */
  give(bytes: Uint8Array): bigint {
    const pointer = this.guest.reserve(bytes.length);
    new Uint8Array(this.guest.memory.buffer).set(bytes, pointer);
    return (BigInt(pointer) << 32n) | BigInt(bytes.length);
  }

  private bytes(pointer: number, length: number): Uint8Array {
    return new Uint8Array(this.guest.memory.buffer, pointer, length).slice();
  }

  private put(pointer: number, bytes: Uint8Array): void {
    new Uint8Array(this.guest.memory.buffer).set(bytes, pointer);
  }

  private query(sql: number, sqlLength: number, params: number, paramsLength: number): SqlStorageCursor<Record<string, Sql>> {
    return this.sql.exec(text(this.bytes(sql, sqlLength)), ...values(this.bytes(params, paramsLength)));
  }

  private imports(): WebAssembly.ModuleImports {
    const attempt = (run: () => bigint): bigint => {
      try {
        return run();
      } catch (error) {
        console.error("statement failed", String(error));
        return BigInt(STORAGE);
      }
    };
    return {
      sql_exec: (...at: [number, number, number, number]) => attempt(() => BigInt(this.query(...at).rowsWritten)),
      sql_query: (...at: [number, number, number, number]) =>
        attempt(() => {
          const cursor = this.query(...at);
          return this.give(rows(cursor.columnNames.length, cursor.raw<Sql[]>()));
        }),
      respond: (pointer: number, length: number) => {
        if (this.running) this.running.response = response(this.bytes(pointer, length));
      },
      get_body: () => this.give(this.running?.body ?? new Uint8Array()),
      get_path: () => this.give(this.running?.line ?? new Uint8Array()),
      accept_ws: () => {},
      send_ws: () => {},
      now: () => BigInt(this.clock()),
      set_alarm: (enclave: number, at: bigint) => {
        if (this.alarm && this.alarm.at <= Number(at)) return;
        this.alarm = { enclave: this.bytes(enclave, 32), at: Number(at) };
      },
      fetch: () => {},
      host_sign_seq: (key: number, _enclave: number, hash: number, out: number) => {
        if (!this.keys.holds(this.bytes(key, 32))) return KEY;
        this.put(out, this.keys.signSeq(this.bytes(hash, 32)));
        return 0;
      },
      host_sign_log: (key: number, enclave: number, note: number, length: number, out: number) => {
        if (!this.keys.holds(this.bytes(key, 32))) return KEY;
        this.put(out, this.keys.signLog(this.bytes(enclave, 32), this.bytes(note, length)));
        return 0;
      },
      host_mac: (name: number, nameLength: number, bytes: number, length: number, out: number) =>
        this.put(out, this.keys.mac(this.bytes(name, nameLength), this.bytes(bytes, length))),
      host_random: (pointer: number, length: number) =>
        this.put(pointer, crypto.getRandomValues(new Uint8Array(length))),
    };
  }
}

function response(bytes: Uint8Array): Response {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const body = 6 + view.getUint32(2, true);
  const headers = JSON.parse(text(bytes.slice(6, body))) as Record<string, string>;
  return new Response(bytes.slice(body), { status: view.getUint16(0, true), headers });
}
