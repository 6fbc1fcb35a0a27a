// A subscription that goes on: it verifies every event, resumes after a drop, renews its session and follows a Migrate.

import type { Event } from "../event.js";
import { isObject, jcs, parseJson, type JsonObject } from "../json.js";
import { Refusal } from "../refusal.js";
import type { Enclave } from "./enclave.js";
import { Unproven } from "./fault.js";
import { filterAfter, Sequence } from "./pages.js";

/** As much of a WebSocket as is needed; a browser's and the `ws` package's both are one. */
export interface Socket {
  send(text: string): void;
  close(): void;
  addEventListener(type: "open" | "message" | "close" | "error", listener: (event: { readonly data?: unknown }) => void): void;
}

export interface WatchOptions {
  /** Opens a WebSocket; the global one unless given. */
  readonly connect?: (url: string) => Socket;
  /** Called once history has been handed out, and again after each resumption. */
  readonly caughtUp?: () => void;
  /** Waits before a connection is tried again; `attempt` counts from 0. */
  readonly wait?: (attempt: number) => Promise<void>;
}

/** Ends for which going on under a new session or connection makes sense. */
const RESUMED = ["session_expired", "invalid_session", "slow_consumer", "overloaded", "internal"];
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 30_000;

/** The subscription's own id, and that of the one that hears of Migrates, which the filter may leave out. */
const OWN = "w";
const MIGRATES = "m";
/** What a connection ends with when the enclave has moved. */
const MOVED = "moved";

/** Why a subscription ended for good. */
export type Ended = "closed" | { readonly refused: string };

export class Watch {
  /** Settles when the subscription is over; rejects with `Unproven` where an event does not hold. */
  readonly ended: Promise<Ended>;
  private socket: Socket | undefined;
  private stopped = false;
  private last: number | undefined;
  private attempt = 0;
  private readonly sequence: Sequence;

  constructor(
    private readonly enclave: Enclave,
    private readonly filter: JsonObject,
    private readonly take: (event: Event) => void,
    private readonly options: WatchOptions = {},
  ) {
    this.sequence = new Sequence(filter, false);
    this.ended = this.run();
  }

  /** Ends the subscription. */
  stop(): void {
    this.stopped = true;
    this.socket?.close();
  }

  private async run(): Promise<Ended> {
    for (;;) {
      const reason = await this.connection();
      if (this.stopped) return "closed";
      if (reason === MOVED) {
        await this.enclave.followMigrate();
        continue;
      }
      if (reason !== undefined && !RESUMED.includes(reason)) return { refused: reason };
      if (reason !== undefined) this.enclave.credentials.renew();
      await (this.options.wait ?? pause)(this.attempt++);
      if (this.stopped) return "closed";
    }
  }

  /** One connection, to its end: the reason of a Closed, or undefined where it was cut off. */
  private connection(): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const connect = this.options.connect ?? ((url: string) => new WebSocket(url) as Socket);
      const socket = connect(this.enclave.node.socketUrl(this.enclave.id));
      this.socket = socket;
      let reason: string | undefined;
      const end = (fault?: unknown): void => {
        socket.close();
        if (fault === undefined) resolve(reason);
        else reject(fault);
      };
      socket.addEventListener("open", () => {
        const filter = this.last === undefined ? this.filter : filterAfter(this.filter, this.last);
        socket.send(jcs(this.request(MIGRATES, { type: "Migrate" })));
        socket.send(jcs(this.request(OWN, filter)));
      });
      socket.addEventListener("message", ({ data }) => {
        try {
          reason = this.frame(String(data));
          if (reason !== undefined) end();
        } catch (fault) {
          end(fault);
        }
      });
      socket.addEventListener("error", () => end());
      socket.addEventListener("close", () => end());
    });
  }

  private request(sub_id: string, filter: JsonObject): JsonObject {
    return { type: "Query", sub_id, enclave: this.enclave.id, ...this.enclave.credentials.members(), filter };
  }

  /** Takes a frame; the reason where it is a Closed. */
  private frame(text: string): string | undefined {
    const frame = read(text);
    if (frame.sub_id === MIGRATES) return this.migrates(frame);
    switch (frame.type) {
      case "Event": {
        const event = this.enclave.origin.event(frame.event);
        this.sequence.take(event);
        this.last = event.seq;
        this.attempt = 0;
        this.take(event);
        return undefined;
      }
      case "EOSE":
        this.options.caughtUp?.();
        return undefined;
      case "Closed":
        return typeof frame.reason === "string" ? frame.reason : "internal";
      case "Error":
        return typeof frame.error === "string" ? frame.error : "internal";
      default:
        throw new Unproven("a frame of an unknown kind");
    }
  }

  /** A frame about Migrates; who may not read them hears of a move when a commit is refused. */
  private migrates(frame: JsonObject): string | undefined {
    if (frame.type !== "Event") return undefined;
    const { origin } = this.enclave;
    const before = origin.sequencer;
    const event = origin.event(frame.event);
    // The event stands in the subscription too, if the filter takes it: that one may come after the move.
    origin.follow(event);
    return origin.sequencer === before ? undefined : MOVED;
  }
}

function read(text: string): JsonObject {
  try {
    const frame = parseJson(text);
    if (isObject(frame)) return frame;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
  throw new Unproven("a frame that is no JSON object by the protocol's rules");
}

function pause(attempt: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt)));
}
