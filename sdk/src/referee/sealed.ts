// The encrypted transport, the node's side (spec section 6).

import { fromHex, isHex, parseHex, toHex } from "../bytes.js";
import { misshapen, refuseOthers } from "../commit.js";
import { MAX_PLAINTEXT_LEN, nodeKeys, openBytes, queryAd, responseAd, sealBytes } from "../envelope.js";
import { isCount, isObject, parseJson, type Json, type JsonObject } from "../json.js";
import type { Keypair } from "../key.js";
import { Refusal } from "../refusal.js";
import { checkEncryptedSession } from "../session.js";
import { json, type Answer } from "./exchange.js";

const SKEW_MS = 60_000;

/** Opens an envelope, hands the request inside to `inner`, and seals what it answers. */
export async function openAndSeal(
  key: Keypair,
  body: JsonObject,
  now: number,
  inner: (request: JsonObject, from: string) => Promise<Answer>,
  failed: (refusal: Refusal) => Answer,
): Promise<Answer> {
  refuseOthers(body, ["enclave", "from", "session", "nonce", "ciphertext"]);
  const { enclave, from, session, nonce, ciphertext } = body;
  if (!isHex(from, 32)) misshapen("from");
  if (!isHex(nonce, 24)) misshapen("nonce");
  const sealed = typeof ciphertext === "string" ? parseHex(ciphertext) : undefined;
  if (sealed === undefined) misshapen("ciphertext");
  if (typeof session !== "string") throw new Refusal("invalid_session");
  const sessionPub = checkEncryptedSession(session, from, key.pub, now);
  const keys = keysFor(key, sessionPub, enclave as string);
  const plaintext = openBytes(keys.query, fromHex(nonce), queryAd(enclave as string, from, session), sealed);
  if (plaintext === undefined) throw new Refusal("invalid_session");
  let answer: Answer;
  try {
    answer = await inner(requestIn(plaintext, { enclave: enclave as string, from, session }, now), from);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    answer = failed(error);
  }
  const out = crypto.getRandomValues(new Uint8Array(24));
  const bytes = sealBytes(keys.response, out, responseAd(fromHex(nonce)), answer.body);
  return json({ nonce: toHex(out), ciphertext: toHex(bytes) }, answer.status);
}

function keysFor(key: Keypair, sessionPub: string, enclave: string) {
  try {
    return nodeKeys(key.priv, sessionPub, key.pub, enclave);
  } catch {
    // `session_pub` that is no point was made by nobody who knows its private half.
    throw new Refusal("invalid_session");
  }
}

/** The request inside: its time is near, and what it names again is what stands outside. */
function requestIn(plaintext: Uint8Array, outer: { enclave: string; from: string; session: string }, now: number): JsonObject {
  if (plaintext.length > MAX_PLAINTEXT_LEN) throw new Refusal("too_large", { limit: MAX_PLAINTEXT_LEN });
  const inside = parseJson(plaintext);
  if (!isObject(inside)) throw new Refusal("invalid_structure");
  refuseOthers(inside, ["time", "request"]);
  const { time, request } = inside;
  if (!isCount(time)) misshapen("time");
  if (!isObject(request)) misshapen("request");
  if (Math.abs(now - time) > SKEW_MS) throw new Refusal("expired", { time: now });
  for (const name of ["enclave", "from", "session"] as const) {
    const again: Json | undefined = request[name];
    if (again !== undefined && again !== outer[name]) misshapen(name);
  }
  return request;
}

