// Deliveries (spec section 8.4).

import { misshapen } from "../commit.js";
import type { Event } from "../event.js";
import { isObject, jcs, parseJson, type JsonObject } from "../json.js";
import type { Keypair } from "../key.js";
import { toHex } from "../bytes.js";
import { deliveryMessage } from "../push.js";
import { Refusal } from "../refusal.js";
import { Reading } from "../kernel/index.js";
import type { Hosted } from "./hosted.js";
import type { PullRange } from "./query.js";

const MAX_PER_IDENTITY = 4;
const MAX_PER_ENCLAVE = 1000;
const TIMEOUT_MS = 10_000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 300_000;
const MAX_RETRIES = 10;

/** One endpoint's queue. */
interface Queue {
  readonly identity: string;
  readonly url: string;
  /** The seq of each delivery, by push_seq from 1. */
  readonly seqs: number[];
  /** How many an endpoint has taken. */
  delivered: number;
  sending: boolean;
  retries: number;
}

/** Posts JSON and gives the status and body, or undefined where nobody answered. */
export type Post = (url: string, body: string, timeoutMs: number) => Promise<{ status: number; text: string } | undefined>;

/** Does `work` after `ms`. */
export type Later = (ms: number, work: () => void) => void;

/** The endpoints of one enclave. */
export class PushQueues {
  private readonly queues = new Map<string, Queue>();

  constructor(
    private readonly hosted: Hosted,
    private readonly host: { readonly post: Post; readonly later: Later; readonly now: () => number },
  ) {}

  /** Registers `url` for `identity` once it has answered the challenge; null unregisters all of them. */
  async register(identity: string, url: string | null): Promise<void> {
    if (!new Reading(this.hosted.ledger, identity).holdsAnyPush()) throw new Refusal("unauthorized");
    if (url === null) {
      for (const [name, queue] of this.queues) if (queue.identity === identity) this.queues.delete(name);
      return;
    }
    if (!allowedUrl(url)) misshapen("url");
    const name = `${identity} ${url}`;
    if (this.queues.has(name)) return;
    const own = [...this.queues.values()].filter((queue) => queue.identity === identity).length;
    if (own >= MAX_PER_IDENTITY) throw new Refusal("limit_exceeded", { limit: MAX_PER_IDENTITY });
    if (this.queues.size >= MAX_PER_ENCLAVE) throw new Refusal("limit_exceeded", { limit: MAX_PER_ENCLAVE });
    const token = toHex(crypto.getRandomValues(new Uint8Array(32)));
    const answer = await this.host.post(url, jcs({ type: "Challenge", token }), TIMEOUT_MS);
    if (answer?.status !== 200 || !answers(answer.text, token)) throw new Refusal("bad_state");
    this.queues.set(name, { identity, url, seqs: [], delivered: 0, sending: false, retries: 0 });
  }

  /** Queues `event` for whoever may have it right after it. */
  appended(event: Event): void {
    for (const queue of this.queues.values()) {
      if (this.form(queue.identity, event) === undefined) continue;
      queue.seqs.push(event.seq);
      this.send(queue);
    }
  }

  /** Deliveries that `identity` fetches, each with a new time and signature. */
  pull(identity: string, { url, after, limit }: PullRange): readonly JsonObject[] {
    const mine = [...this.queues.values()].filter((queue) => queue.identity === identity && (url === undefined || queue.url === url));
    if (url !== undefined && mine.length === 0) throw new Refusal("not_found");
    const wanted = mine.flatMap((queue) => queue.seqs.map((_, i) => [queue, i + 1] as const)).filter(([, pushSeq]) => pushSeq > after);
    const made = wanted.slice(0, limit).map(([queue, pushSeq]) => this.delivery(queue, pushSeq));
    return made.filter((delivery) => delivery !== undefined);
  }

  private send(queue: Queue): void {
    if (queue.sending || queue.delivered >= queue.seqs.length || queue.retries > MAX_RETRIES) return;
    const delivery = this.delivery(queue, queue.delivered + 1);
    if (delivery === undefined) {
      this.queues.delete(`${queue.identity} ${queue.url}`);
      return;
    }
    queue.sending = true;
    this.host.post(queue.url, jcs(delivery), TIMEOUT_MS).then((answer) => {
      queue.sending = false;
      if (answer?.status === 410) {
        this.queues.delete(`${queue.identity} ${queue.url}`);
      } else if (answer !== undefined && answer.status >= 200 && answer.status < 300) {
        queue.delivered++;
        queue.retries = 0;
        this.send(queue);
      } else {
        const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** queue.retries);
        queue.retries++;
        this.host.later(wait, () => this.send(queue));
      }
    });
  }

  /** The delivery as of now; undefined where the identity may not have it any more. */
  private delivery(queue: Queue, pushSeq: number): JsonObject | undefined {
    const event = this.hosted.ledger.events[queue.seqs[pushSeq - 1] as number] as Event;
    const form = this.form(queue.identity, event);
    if (form === undefined) return undefined;
    const key = this.hosted.sequencerKey as Keypair;
    const body = {
      push_seq: pushSeq, enclave: this.hosted.id, to: queue.url, time: this.host.now(), from_seq: event.seq, seq_pub: key.pub,
      ...(form === "P" ? { events: [{ ...event } as unknown as JsonObject] } : { notify: [{ id: event.id, seq: event.seq, type: event.type }] }),
    };
    return { ...body, sig: key.sign(deliveryMessage(body)) };
  }

  private form(identity: string, event: Event): "P" | "N" | undefined {
    if (event.type === "Update" || event.type === "Delete") return undefined;
    const reading = new Reading(this.hosted.ledger, identity);
    return reading.holds("P", event) ? "P" : reading.holds("N", event) ? "N" : undefined;
  }
}

/** The referee delivers to this machine only: it is there to be compared, not to be run for others. */
function allowedUrl(text: string): boolean {
  try {
    const { protocol, hostname } = new URL(text);
    return protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(hostname);
  } catch {
    return false;
  }
}

function answers(text: string, token: string): boolean {
  try {
    const body = parseJson(text);
    return isObject(body) && body.token === token;
  } catch {
    return false;
  }
}
