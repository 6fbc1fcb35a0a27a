"""The client against a small node that seals with the vectors' own arithmetic; and against nodes that break a rule."""

import contextlib
import http.server
import io
import json
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vectors"))

import client
from gen import aead
from gen import protocol as p
from gen.sources import SEQ, SEQ_PRIV, hex_of, priv

ENCLAVE, PRIV = hex_of("transport enclave"), priv("transport client")
EVENT = {"enclave": ENCLAVE, "seq": 0, "content": "žluť 🐎"}


def node_keys(token):
    """Both AEAD keys, computed from the node's side."""
    shared = bytes.fromhex(p.node_shared_x(token, SEQ_PRIV, ENCLAVE))
    salt = bytes.fromhex(token[64:128] + SEQ + ENCLAVE)
    return aead.hkdf(shared, salt, b"enc:query"), aead.hkdf(shared, salt, b"enc:response")


def error(status, code):
    return status, {"error": code, "message": "No."}


def answer_inside(request, now):
    """What the service says to an opened request."""
    if abs(now - request["time"]) > 60_000:
        return error(400, "expired")
    if request["request"].get("from", p.pub_hex(PRIV)) != p.pub_hex(PRIV):
        return error(400, "invalid_structure")
    return 200, {"type": "Response", "events": [EVENT]}


class Node(http.server.BaseHTTPRequestHandler):
    fault = None

    def log_message(self, *_):
        """Silent: the test prints what matters."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.judge(body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def judge(self, body):
        now = time.time_ns() // 1_000_000
        token, author = body["session"], body["from"]
        form = "encrypted" if "ciphertext" in body else "plain"
        if self.fault != "believes tokens" and p.session_error(token, author, SEQ, now, form):
            return error(401, "invalid_session")
        if form == "plain":
            return 200, {"type": "Response", "events": []}
        key_query, key_response = node_keys(token)
        ad = p.query_ad(ENCLAVE, author, token)
        opened = aead.open_sealed(key_query, bytes.fromhex(body["nonce"]), bytes.fromhex(body["ciphertext"]), ad)
        if opened is None:
            return error(401, "invalid_session")
        status, inside = answer_inside(json.loads(opened), now)
        if self.fault == "answers in the clear":
            return status, inside
        if self.fault == "another enclave's event":
            inside = {"type": "Response", "events": [{**EVENT, "enclave": hex_of("elsewhere")}]}
        ad = b"enc:response" if self.fault == "answer not bound" else p.response_ad(body["nonce"])
        nonce = bytes(24)
        sealed = aead.seal(key_response, nonce, json.dumps(inside, ensure_ascii=False).encode(), ad)
        return status, {"nonce": nonce.hex(), "ciphertext": sealed.hex()}


@contextlib.contextmanager
def node(fault=None):
    handler = type("FaultyNode", (Node,), {"fault": fault})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(url, *more):
    """Exit code, output and complaint of one run of the client."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = client.main(["--url", url, "--enclave", ENCLAVE, "--seq-pub", SEQ, "--priv", PRIV, *more])
    return code, out.getvalue(), err.getvalue()


class ClientTest(unittest.TestCase):
    def test_vectors(self):
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(client.main(["--selftest"]), 0)

    def test_query_and_probe(self):
        with node() as url:
            code, out, err = run(url, "--probe", "--filter", '{"limit":1}')
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(json.loads(out), {"type": "Response", "events": [EVENT]})

    def test_faults_are_seen(self):
        for fault, probe in (("answers in the clear", False), ("answer not bound", False),
                             ("another enclave's event", False), ("believes tokens", True)):
            with self.subTest(fault), node(fault) as url:
                code, out, _ = run(url, *(["--probe"] if probe else []))
                self.assertEqual((code, out), (1, ""))

    def test_another_sequencer_key(self):
        with node() as url:
            code, out, err = run(url, "--seq-pub", p.pub_hex(priv("another")))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("invalid_session", err)


if __name__ == "__main__":
    unittest.main()
