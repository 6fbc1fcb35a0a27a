// One node, as HTTP shows it.

import { fromHex, isHex, parseHex, toHex, utf8 } from "../bytes.js";
import { clientKeys, openBytes, queryAd, responseAd, sealBytes } from "../envelope.js";
import { isObject, jcs, parseJson, type Json, type JsonObject } from "../json.js";
import { isCode, Refusal } from "../refusal.js";
import type { Session } from "../session.js";
import { demand, NodeRefusal, Unproven } from "./fault.js";

export type Fetch = typeof fetch;

/** The longest a request may take; milliseconds. */
const TIMEOUT_MS = 30_000;

/** Whom a sealed request is sealed for. */
export interface Sealing {
  readonly enclave: string;
  readonly from: string;
  readonly sequencer: string;
  readonly session: Session;
}

/** Asks a node; answers are read strictly and refusals become `NodeRefusal`. What they prove is for others to check. */
export class NodeLink {
  private readonly base: string;

  constructor(
    url: string,
    private readonly fetcher: Fetch = (...args) => fetch(...args),
  ) {
    this.base = url.replace(/\/+$/, "");
  }

  get url(): string {
    return this.base;
  }

  /** The address of the node's WebSocket for an enclave. */
  socketUrl(enclave: string): string {
    return `${this.base.replace(/^http/, "ws")}/enclaves/${enclave}`;
  }

  /** `GET /`. Nothing in it is proved. */
  async about(): Promise<JsonObject> {
    return this.json("GET", "/");
  }

  async json(method: "GET" | "POST", path: string, body?: Json, headers: { [name: string]: string } = {}): Promise<JsonObject> {
    const { status, bytes } = await this.send(method, path, body, headers);
    return answerOf(status, bytes);
  }

  /** Text or bytes; a refusal is JSON all the same. */
  async bytes(path: string, headers: { [name: string]: string } = {}): Promise<Uint8Array> {
    const { status, bytes } = await this.send("GET", path, undefined, headers);
    if (status !== 200) answerOf(status, bytes);
    return bytes;
  }

  /** Sends `request` sealed to the sequencer, and opens the answer. */
  async sealed({ enclave, from, sequencer, session }: Sealing, request: JsonObject, now: number): Promise<JsonObject> {
    const keys = clientKeys(session.priv, session.pub, sequencer, enclave);
    const nonce = crypto.getRandomValues(new Uint8Array(24));
    const plaintext = utf8(jcs({ time: now, request }));
    const ciphertext = sealBytes(keys.query, nonce, queryAd(enclave, from, session.encrypted), plaintext);
    const envelope = { enclave, from, session: session.encrypted, nonce: toHex(nonce), ciphertext: toHex(ciphertext) };
    const { status, bytes } = await this.send("POST", "/", envelope, {});
    const answer = parsed(bytes);
    if (answer.error !== undefined) return answerOf(status, bytes);
    const sealed = typeof answer.ciphertext === "string" ? parseHex(answer.ciphertext) : undefined;
    demand(isHex(answer.nonce, 24) && sealed !== undefined, "an answer that is not sealed");
    const opened = openBytes(keys.response, fromHex(answer.nonce), responseAd(nonce), sealed);
    demand(opened !== undefined, "an answer that is not sealed for this request");
    return answerOf(status, opened);
  }

  private async send(
    method: "GET" | "POST",
    path: string,
    body: Json | undefined,
    headers: { [name: string]: string },
  ): Promise<{ status: number; bytes: Uint8Array }> {
    const sent = body === undefined ? { headers } : { headers: { "content-type": "application/json", ...headers }, body: jcs(body) };
    const answer = await this.fetcher(this.base + path, { method, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS), ...sent });
    return { status: answer.status, bytes: new Uint8Array(await answer.arrayBuffer()) };
  }
}

function answerOf(status: number, bytes: Uint8Array): JsonObject {
  const body = parsed(bytes);
  if (status === 200 && body.error === undefined) return body;
  if (!isCode(body.error)) throw new Unproven(`an answer of status ${status} without a code`);
  throw new NodeRefusal(body.error, status, body);
}

function parsed(bytes: Uint8Array): JsonObject {
  try {
    const body = parseJson(bytes);
    if (isObject(body)) return body;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
  throw new Unproven("an answer that is no JSON object by the protocol's rules");
}
