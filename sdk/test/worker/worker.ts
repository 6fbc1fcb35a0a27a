// The referee in a Durable Object. Like the node of `npm run referee` it keeps everything in memory: it is there to be compared with.

import { DurableObject } from "cloudflare:workers";
import { Keypair } from "../../src/key.js";
import { Connection, CORS, Referee, type Request as Asked } from "../../src/referee/index.js";

interface Bindings {
  readonly REFEREE: DurableObjectNamespace<RefereeObject>;
}

export class RefereeObject extends DurableObject<Bindings> {
  private readonly referee = new Referee({
    name: "localhost",
    key: Keypair.random(),
    headsSeed: crypto.getRandomValues(new Uint8Array(32)),
    now: Date.now,
    post,
    later: (ms, work) => void setTimeout(work, ms),
  });

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (request.headers.get("upgrade") === "websocket") return this.socket(url.pathname);
    if (url.pathname === "/commits" && request.body !== null && isNdjson(request)) return this.lines(request.body);
    const { status, headers, body } = await this.referee.answer(await asked(request, url));
    return new Response(status === 204 ? null : (body as BodyInit), { status, headers });
  }

  /** Answers each line as it comes. */
  private lines(body: ReadableStream<Uint8Array>): Response {
    const lines = this.referee.lines();
    const encoder = new TextEncoder();
    const answered = body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, out) => {
          out.enqueue(encoder.encode(lines.take(chunk)));
          if (lines.ended) out.terminate();
        },
        flush: (out) => out.enqueue(encoder.encode(lines.finish())),
      }),
    );
    return new Response(answered, { headers: { "content-type": "application/x-ndjson", ...CORS } });
  }

  private socket(path: string): Response {
    const [, enclave] = /^\/(?:enclaves?\/)?([0-9a-fA-F]{64})\/?$/.exec(path) ?? [];
    if (enclave === undefined && path !== "/") return new Response(null, { status: 404 });
    if (/[A-F]/.test(enclave ?? "")) return new Response(null, { status: 400 });
    const { 0: client, 1: server } = new WebSocketPair();
    server.accept();
    const connection = new Connection(this.referee, enclave, (text) => server.send(text));
    const timer = setInterval(() => {
      this.referee.tick();
      connection.tick();
    }, 500);
    server.addEventListener("message", ({ data }) => {
      if (typeof data === "string") connection.received(data);
      else server.close(1003);
    });
    server.addEventListener("close", () => {
      clearInterval(timer);
      connection.close();
    });
    return new Response(null, { status: 101, webSocket: client });
  }
}

export default {
  fetch(request: Request, { REFEREE }: Bindings): Promise<Response> {
    return REFEREE.get(REFEREE.idFromName("referee")).fetch(request);
  },
};

function isNdjson(request: Request): boolean {
  return request.method === "POST" && request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() === "application/x-ndjson";
}

async function asked(request: Request, url: URL): Promise<Asked> {
  const body = new Uint8Array(await request.arrayBuffer());
  const headers = Object.fromEntries(request.headers);
  // `wrangler dev --local` listens on loopback and names the peer in a header of its own making only.
  return { method: request.method, path: url.pathname, query: url.searchParams, headers: { ...headers, host: url.host }, body, loopback: true };
}

async function post(url: string, body: string, timeoutMs: number): Promise<{ status: number; text: string } | undefined> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body, redirect: "manual", signal });
    return { status: answer.status, text: await answer.text() };
  } catch {
    // Whatever the reason, nobody took it.
    return undefined;
  }
}
