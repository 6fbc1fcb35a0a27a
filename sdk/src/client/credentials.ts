// The session of one key with one sequencer, renewed before it ends.

import type { JsonObject } from "../json.js";
import type { Keypair } from "../key.js";
import { openSession, type Session } from "../session.js";

/** How long a session lasts, and how long before its end a new one is made; seconds. */
const SESSION_S = 3600;
const RENEW_S = 120;

export class Credentials {
  private session: Session | undefined;

  /** `sequencer` answers the verified key of the moment: a session is never made for a key that a node merely names. */
  constructor(
    private readonly key: Keypair | undefined,
    private readonly sequencer: () => string,
    private readonly now: () => number,
  ) {}

  /** A session that is good for a while; undefined without a key. */
  current(): Session | undefined {
    if (this.key === undefined) return undefined;
    const seconds = Math.floor(this.now() / 1000);
    if (this.session === undefined || this.session.expires < seconds + RENEW_S) {
      this.session = openSession(this.key, this.sequencer(), seconds + SESSION_S);
    }
    return this.session;
  }

  /** Forgets the session: the next request has a new one. */
  renew(): void {
    this.session = undefined;
  }

  /** Members of a plain request. */
  members(): JsonObject {
    const session = this.current();
    return session === undefined || this.key === undefined ? {} : { from: this.key.pub, session: session.plain };
  }

  /** Headers of a GET. */
  headers(): { [name: string]: string } {
    const session = this.current();
    return session === undefined || this.key === undefined ? {} : { "x-enc-from": this.key.pub, "x-enc-session": session.plain };
  }
}
