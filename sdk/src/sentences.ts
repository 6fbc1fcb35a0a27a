// The fixed sentence of each code, as `vectors/errors.json` has it.

import type { Code } from "./refusal.js";

/** What a person is told; never anything of the input. */
export const SENTENCES: { readonly [code in Code]: string } = {
  invalid_json:
    "The body is not JSON in UTF-8; send one well-formed JSON text without a byte order mark.",
  invalid_route:
    "There is no such route or method here; check the path and the method against the node's API description.",
  invalid_structure:
    "A member is missing, unknown or malformed; correct the request to the listed members, lower-case hex and whole numbers.",
  invalid_hash:
    "The commit's hash is not the hash of its members; compute the hash again and sign the commit again.",
  invalid_signature:
    "The signature does not verify under the author's key; sign the commit's hash with the key named in from.",
  expired:
    "The time allowed for this request has passed; check your clock, make the request again and send it at once.",
  exp_too_far:
    "The expiry lies more than one hour ahead; check your clock and sign the commit again with a nearer expiry.",
  duplicate:
    "This commit is already stored; do not send it again, and sign a new commit if you want a second event.",
  unauthorized:
    "You may not do this here; use an identity or session with the needed role, or ask an owner of the enclave to grant it.",
  invalid_session:
    "The session is not valid for this identity and node; make a new session token and send it together with from.",
  session_expired:
    "The session has expired; make a new session token and send the request again.",
  enclave_not_found:
    "This node does not hold that enclave; check the enclave's id, or ask a registry which node holds it.",
  enclave_exists:
    "An enclave with this id already exists here with other contents; add a nonce tag to the Manifest to make a different one.",
  enclave_paused:
    "The enclave is paused; wait until an authorised member resumes it.",
  enclave_terminated:
    "The enclave is terminated and takes no more commits; use another enclave.",
  enclave_migrated:
    "The enclave has moved to another sequencer; send the commit to the node that holds the new sequencer key.",
  read_only:
    "This node only serves a copy of the enclave; send the commit to the node that sequences it.",
  invalid_manifest:
    "The Manifest breaks a rule at the given path; correct that place and sign the Manifest again.",
  rank_too_low:
    "Your rank does not suffice for this target or trait; ask a member of higher rank to do it.",
  gate_closed:
    "The gate for this action is closed; ask one of its operators to open it.",
  bad_state:
    "The present state does not allow this; read the current state and decide again.",
  not_found:
    "There is no such thing that you may see here; check the id, key, alias or index.",
  not_bundled:
    "This is not yet in a closed bundle; ask again after the bundle's timeout.",
  too_large:
    "The request is larger than this node takes; make it smaller or split it.",
  unsupported_media_type:
    "The Content-Type is missing or wrong for this route; send the type that the route's description names.",
  limit_exceeded:
    "The request goes beyond a limit of this node; ask for less, or free what you no longer use.",
  rate_limited:
    "Too many requests in a short time; wait as long as Retry-After says and send fewer.",
  overloaded:
    "The node is too busy or too full to take this; wait as long as Retry-After says and try again.",
  clock_behind:
    "The node's clock is behind the enclave's last event; its operator must set the clock before it takes commits.",
  rolled_back:
    "The node's stored data is older than what it has already signed; its operator must decide before it takes commits.",
  internal:
    "The node failed to answer; try again later, and tell its operator if it goes on.",
};
