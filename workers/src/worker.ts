// One Durable Object an enclave, and the door in front of them.
import { DurableObject } from "cloudflare:workers";
import guest from "./guest.wasm";
import { Keys } from "./keys";
import { Runtime } from "./runtime";
import { utf8 } from "./wire";

interface Env {
  ENCLAVE: DurableObjectNamespace<EnclaveDO>;
  /** The sequencer's private key, hex: a secret of the deployment. */
  SEQUENCER_KEY: string;
  NODE_NAME: string;
  /** A fixed clock for comparing hosts, milliseconds; absent in production. */
  CLOCK_MS?: string;
}

/** Longer bodies are refused before an object sees them: a snapshot is the longest that any route takes. */
const MAX_BODY = 64 << 20;

export class EnclaveDO extends DurableObject<Env> {
  readonly #runtime: Runtime;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const keys = new Keys(env.SEQUENCER_KEY);
    const clock = () => (env.CLOCK_MS ? Number(env.CLOCK_MS) : Date.now());
    this.#runtime = new Runtime(guest, ctx.storage.sql, keys, clock);
    const facts = { heads_vkey: "", name: env.NODE_NAME, sequencer: keys.sequencer, version: "0.1.0" };
    const code = this.#runtime.guest.init(this.#runtime.give(utf8(JSON.stringify(facts))));
    if (code !== 0) throw new Error(`the module did not start: ${code}`);
  }

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const line = {
      content_type: request.headers.get("Content-Type") ?? undefined,
      from: request.headers.get("X-Enc-From") ?? undefined,
      method: request.method,
      path: url.pathname,
      query: url.search.slice(1),
      session: request.headers.get("X-Enc-Session") ?? undefined,
    };
    const body = new Uint8Array(await request.arrayBuffer());
    const running = (this.#runtime.running = { body, line: utf8(JSON.stringify(line)) } as Runtime["running"]);
    try {
      this.#transact(() => this.#runtime.guest.handle());
    } catch (error) {
      console.error("request rolled back", String(error));
      return Response.json({ error: "internal" }, { status: 500 });
    }
    await this.#arm();
    return running?.response ?? new Response(null, { status: 500 });
  }

  /** What is due by itself: bundles that close. */
  override async alarm(): Promise<void> {
    const enclave = await this.ctx.storage.get<Uint8Array>("alarm");
    if (!enclave) return;
    this.#transact(() => this.#runtime.guest.alarm(this.#runtime.give(enclave)));
    await this.#arm();
  }

  /** One transaction around one entry; a fault undoes it. */
  #transact(enter: () => number): void {
    this.#runtime.alarm = undefined;
    this.ctx.storage.transactionSync(() => {
      const code = enter();
      if (code !== 0) throw new Error(`fault ${code}`);
    });
  }

  async #arm(): Promise<void> {
    const { alarm, clock } = this.#runtime;
    if (!alarm) return;
    await this.ctx.storage.put("alarm", alarm.enclave);
    await this.ctx.storage.setAlarm(Date.now() + Math.max(0, alarm.at - clock()));
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, id] = /^\/enclaves\/([0-9a-f]{64})(?:\/|$)/.exec(new URL(request.url).pathname) ?? [];
    if (!id) return new Response(null, { status: 404 });
    if (Number(request.headers.get("Content-Length") ?? 0) > MAX_BODY) return new Response(null, { status: 413 });
    return env.ENCLAVE.get(env.ENCLAVE.idFromName(id)).fetch(request);
  },
} satisfies ExportedHandler<Env>;
