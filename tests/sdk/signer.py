"""The signers and request builders under test, behind the `sign_case` example of tidegate-cdn.

TIDEGATE_SIGN_CASE names the binary.
"""

import atexit
import collections
import json
import os
import subprocess
import unittest
from urllib.parse import unquote

_process = subprocess.Popen(
    [os.environ["TIDEGATE_SIGN_CASE"]],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    encoding="utf-8",
)

# How many cases were compared, by what.
compared = collections.Counter()


@atexit.register
def _stop():
    _process.stdin.close()
    _process.wait(timeout=10)
    _process.stdout.close()
    for what, count in sorted(compared.items()):
        print(f"  {count:4} {what}")


def ask(**case):
    """What is derived for `request`, and the request built for `built`."""
    print(json.dumps(case), file=_process.stdin, flush=True)
    answer = json.loads(_process.stdout.readline())
    if "error" in answer:
        raise AssertionError(f"{answer['error']}: {case}")
    return answer


class Built:
    """A request of ours."""

    def __init__(self, fields):
        self.method = fields["method"]
        self.host = fields["host"]
        self.path = fields["path"]
        self.raw_query = fields["raw_query"]
        self.headers = {name.lower(): value for name, value in fields["headers"]}
        self.body = fields["body"]

    def query(self):
        """Decoded with no mercy: a plus would stay a plus."""
        pairs = [pair.split("=") for pair in self.raw_query.split("&") if pair]
        return [[unquote(name), unquote(value)] for name, value in pairs]


class Alike(unittest.TestCase):
    """Comparisons of a vendor's client with ours."""

    maxDiff = None
    # Beginnings of the headers that carry meaning, and what of the client's is its own affair.
    meant = ()
    own = frozenset()

    def assert_signed_alike(self, sent, scheme, what, *, signed_form=False, **case):
        """Our signer derives the client's signature from the client's own bytes."""
        request = sent.recorded(signed_form)
        signed = ask(scheme=scheme, request=request, **case)["signed"]
        got, want = signed["authorization"], sent.header("authorization")
        if not want:
            got, want = signed["signature"], dict(sent.query())["Signature"]
        why = f"{what}: {case} {request}\n{signed['canonical_request']}"
        self.assertEqual(got, want, why)
        compared[f"{scheme} signatures of {what}"] += 1

    def _meaning(self, method, host, path, query, headers, body):
        def kept(name):
            return name not in self.own

        return {
            "line": (method, host, path),
            "parameters": sorted(pair for pair in query if kept(pair[0])),
            "headers": {
                name.lower(): value.partition(";")[0]
                for name, value in headers
                if name.lower().startswith(self.meant) and kept(name.lower())
            },
            "body": json.loads(body) if body else None,
        }

    def assert_asked_alike(self, sent, scheme, what, *, built, **case):
        """Our request asks for what the client's asks for; returns ours."""
        ours = Built(ask(scheme=scheme, built=built, **case)["built"])
        got = self._meaning(
            ours.method, ours.host, ours.path, ours.query(), ours.headers.items(), ours.body
        )
        host = sent.header("host")
        query = sent.query() + sent.form()
        want = self._meaning(sent.method, host, sent.path, query, sent.headers, sent.body)
        self.assertEqual(got, want, f"{what}: {case} {built}")
        compared[f"{scheme} requests of ours"] += 1
        return ours
