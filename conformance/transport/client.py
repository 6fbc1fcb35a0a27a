#!/usr/bin/env python3
"""A client of the encrypted transport, made with foreign cryptography: it must understand every node.

    python3 client.py --url http://HOST/ --enclave HEX --seq-pub HEX --priv FILE_OR_HEX [--filter JSON] [--probe]
    python3 client.py --selftest

Sends one encrypted Query, opens the answer and prints its plaintext, which is JSON. With --probe it first sends requests
that a node must refuse. --selftest holds the client against the transport groups of the vectors, without a node. Exit 0
if all is as the protocol says, 1 at the first mismatch, 2 where the arguments are wrong. Needs requirements.txt.
"""

import argparse
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

import vectors_check
from envelope import Mismatch, Session

TIMEOUT_S = 30
SESSION_LIFE_S = 3600
ROOT = pathlib.Path(__file__).resolve().parents[2]


def post(url, body):
    """Status and JSON body of an answer, whatever its status."""
    data = json.dumps(body, separators=(",", ":")).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def sealed_request(channel, request, time_ms):
    plaintext = json.dumps({"time": time_ms, "request": request}, separators=(",", ":"), ensure_ascii=False).encode()
    nonce, ciphertext = channel.seal(plaintext)
    return nonce, channel.request_body(nonce, ciphertext)


def ask(url, channel, request, time_ms):
    """Status and plaintext of one encrypted exchange."""
    nonce, body = sealed_request(channel, request, time_ms)
    status, answer = post(url, body)
    if isinstance(answer, dict) and "error" in answer:
        raise Mismatch(f"answered in the clear: {status} {json.dumps(answer, ensure_ascii=False)}")
    return status, channel.open_answer(answer, nonce).decode("utf-8")


def query(url, channel, filter_value):
    """The plaintext of the answer to a Query; raises Mismatch unless it is a Response."""
    request = {"type": "Query", "filter": filter_value}
    status, text = ask(url, channel, request, now_ms())
    answer = json.loads(text)
    if status != 200 or not isinstance(answer, dict) or answer.get("type") != "Response":
        raise Mismatch(f"no Response: {status} {text}")
    if any(event.get("enclave") != channel.enclave.hex() for event in answer["events"]):
        raise Mismatch("an event of another enclave")
    return text


def now_ms():
    return time.time_ns() // 1_000_000


def probe(url, session, enclave):
    """Requests that a node must refuse; raises Mismatch for one that it does not."""
    channel, request = session.channel(enclave), {"type": "Query", "filter": {"limit": 1}}
    nonce, good = sealed_request(channel, request, now_ms())
    cipher = good["ciphertext"]
    flipped = {**good, "ciphertext": f"{int(cipher[:2], 16) ^ 1:02x}{cipher[2:]}"}
    swapped = {**good, "session": session.plain_token.hex()}
    expect(url, "a flipped ciphertext", flipped, 401, "invalid_session")
    expect(url, "a cut ciphertext", {**good, "ciphertext": cipher[:-2]}, 401, "invalid_session")
    expect(url, "another nonce", {**good, "nonce": "00" * 24}, 401, "invalid_session")
    expect(url, "a plain token in an encrypted request", swapped, 401, "invalid_session")
    plain = {**request, "enclave": enclave.hex(), "from": session.author.hex(), "session": session.token.hex()}
    expect(url, "an encrypted token in a plain request", plain, 401, "invalid_session")
    for shift in (-120_000, 120_000):
        status, text = ask(url, channel, request, now_ms() + shift)
        if (status, json.loads(text).get("error")) != (400, "expired"):
            raise Mismatch(f"a request of another time ({shift} ms): {status} {text}")
    status, text = ask(url, channel, {**request, "from": enclave.hex()}, now_ms())
    if (status, json.loads(text).get("error")) != (400, "invalid_structure"):
        raise Mismatch(f"another `from` inside: {status} {text}")


def expect(url, what, body, status, code):
    got, answer = post(url, body)
    if (got, answer.get("error")) != (status, code):
        raise Mismatch(f"{what}: {got} {json.dumps(answer, ensure_ascii=False)}, expected {status} {code}")


def hex32(text):
    value = bytes.fromhex(text)
    if len(value) != 32 or text != text.lower():
        raise argparse.ArgumentTypeError("32 bytes of lower-case hex are needed")
    return value


def private_key(text):
    """The key itself, or a file that holds it."""
    path = pathlib.Path(text)
    return hex32(path.read_text().strip() if path.is_file() else text)


def arguments(given):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="the node's root, as http://HOST/")
    parser.add_argument("--enclave", type=hex32)
    parser.add_argument("--seq-pub", type=hex32, help="the sequencer key, from the verified Manifest")
    parser.add_argument("--priv", type=private_key, help="the identity's private key")
    parser.add_argument("--filter", type=json.loads, default={}, help="the Query's filter")
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--selftest", action="store_true")
    options = parser.parse_args(given)
    if not options.selftest and None in (options.url, options.enclave, options.seq_pub, options.priv):
        parser.error("--url, --enclave, --seq-pub and --priv are needed")
    return options


def run(options):
    if options.selftest:
        for name in ("enc-vectors.json", "generated.json"):
            print(f"{name}: {vectors_check.check(ROOT / 'vectors' / name)} cases hold")
        return
    session = Session(options.priv, options.seq_pub, int(time.time()) + SESSION_LIFE_S)
    if options.probe:
        probe(options.url, session, options.enclave)
    print(query(options.url, session.channel(options.enclave), options.filter))


def main(given):
    options = arguments(given)
    try:
        run(options)
    except (Mismatch, OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
