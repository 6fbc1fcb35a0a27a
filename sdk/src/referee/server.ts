// Serves the referee over HTTP and WebSockets with Node's own server.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { Keypair } from "../key.js";
import { Refusal } from "../refusal.js";
import { CORS, refused, type Request } from "./exchange.js";
import { Referee } from "./node.js";
import { Connection } from "./sockets.js";

const TICK_MS = 500;
const PING_MS = 30_000;

export interface ServeOptions {
  /** 0 takes any free port. */
  readonly port: number;
  readonly address?: string;
  readonly key?: Keypair;
}

export interface Serving {
  readonly url: string;
  readonly referee: Referee;
  close(): Promise<void>;
}

/** Starts a referee that keeps everything in memory. */
export async function serve({ port, address = "127.0.0.1", key = Keypair.random() }: ServeOptions): Promise<Serving> {
  const referee = new Referee({
    name: "localhost",
    key,
    headsSeed: crypto.getRandomValues(new Uint8Array(32)),
    now: Date.now,
    post,
    later: (ms, work) => setTimeout(work, ms).unref(),
  });
  const server = createServer((request, response) => {
    answer(referee, request, response).catch((error: unknown) => {
      console.error("a request failed", error);
      if (!response.headersSent) write(response, refused(new Refusal("internal")));
    });
  });
  const connections = acceptSockets(server, referee);
  const timer = setInterval(() => {
    referee.tick();
    for (const connection of connections) connection.tick();
  }, TICK_MS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, resolve);
  });
  const bound = server.address() as AddressInfo;
  const close = (): Promise<void> => {
    clearInterval(timer);
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return { url: `http://${address}:${bound.port}`, referee, close };
}

async function answer(referee: Referee, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(incoming.url ?? "/", "http://localhost");
  if (url.pathname === "/commits" && incoming.method === "POST" && isNdjson(incoming)) return stream(referee, incoming, response);
  const limit = Referee.bodyLimit(url.pathname);
  const chunks: Buffer[] = [];
  let len = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    len += chunk.length;
    if (len > limit) {
      write(response, refused(new Refusal("too_large", { limit })));
      return;
    }
    chunks.push(chunk);
  }
  write(response, await referee.answer(requestOf(incoming, url, Buffer.concat(chunks))));
}

function isNdjson(incoming: IncomingMessage): boolean {
  return incoming.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() === "application/x-ndjson";
}

/** Answers each line of `POST /commits` as it comes. */
async function stream(referee: Referee, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const lines = referee.lines();
  response.writeHead(200, { "content-type": "application/x-ndjson", ...CORS });
  response.flushHeaders();
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    if (lines.ended) continue;
    const text = lines.take(chunk);
    if (text !== "") response.write(text);
    if (lines.ended) response.end();
  }
  if (!lines.ended) response.end(lines.finish());
}

function requestOf(incoming: IncomingMessage, url: URL, body: Uint8Array): Request {
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]));
  const peer = incoming.socket.remoteAddress ?? "";
  const loopback = peer === "::1" || peer.startsWith("127.") || peer.startsWith("::ffff:127.");
  return { method: incoming.method ?? "GET", path: url.pathname, query: url.searchParams, headers, body: new Uint8Array(body), loopback };
}

function write(response: ServerResponse, { status, headers, body }: Awaited<ReturnType<Referee["answer"]>>): void {
  response.writeHead(status, status === 204 ? headers : { ...headers, "content-length": String(body.length) });
  response.end(body);
}

function acceptSockets(server: Server, referee: Referee): Set<Connection> {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 1 << 20 });
  const connections = new Set<Connection>();
  server.on("upgrade", (incoming, stream, head) => {
    const path = new URL(incoming.url ?? "/", "http://localhost").pathname;
    const [, enclave] = /^\/(?:enclaves?\/)?([0-9a-fA-F]{64})\/?$/.exec(path) ?? [];
    const refusal = enclave === undefined && path !== "/" ? "404 Not Found" : /[A-F]/.test(enclave ?? "") ? "400 Bad Request" : undefined;
    if (refusal !== undefined) {
      stream.end(`HTTP/1.1 ${refusal}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(incoming, stream, head, (socket) => {
      const connection = new Connection(referee, enclave, (text) => socket.send(text));
      const ping = setInterval(() => socket.ping(), PING_MS);
      connections.add(connection);
      socket.on("message", (frame, binary) => {
        if (binary) socket.close(1003);
        else connection.received(frame.toString());
      });
      socket.on("error", () => socket.terminate());
      socket.on("close", () => {
        clearInterval(ping);
        connections.delete(connection);
        connection.close();
      });
    });
  });
  return connections;
}

async function post(url: string, body: string, timeoutMs: number): Promise<{ status: number; text: string } | undefined> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answered = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body, redirect: "manual", signal });
    return { status: answered.status, text: await answered.text() };
  } catch {
    // Whatever the reason, nobody took it; the caller tries again or refuses.
    return undefined;
  }
}
