"""Starts the simulated vendors once and talks to their admin endpoints.

TIDEGATE_SIM_BOXES names the binary (the `boxes` example of tidegate-sim).
"""

import atexit
import json
import logging
import os
import subprocess
import urllib.request

# The clients log every refusal, and refusals are half of what is tested.
logging.disable(logging.CRITICAL)

_process = subprocess.Popen(
    [os.environ["TIDEGATE_SIM_BOXES"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
_places = json.loads(_process.stdout.readline())

PROJECT = "0123456789abcdef0123456789abcdef"
ENDS = "2099-01-01T00:00:00Z"


@atexit.register
def _stop():
    _process.stdin.close()
    _process.wait(timeout=10)
    _process.stdout.close()


def api(vendor):
    """Host and port of a vendor's API."""
    return _places[vendor]["api"]


def _admin(vendor, path, method="GET", body=None):
    url = f"http://{_places[vendor]['admin']}{path}"
    request = urllib.request.Request(url, method=method, data=body)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def fault(vendor, **rule):
    """Makes the next call go wrong, once."""
    rule.setdefault("count", 1)
    _admin(vendor, "/faults", "PUT", json.dumps({"fault": [rule]}).encode())


def last(vendor):
    """The newest row of a vendor's journal."""
    return json.loads(_admin(vendor, "/journal"))[-1]


def bans(vendor):
    """Names of the streams that are banned."""
    return [ban["name"]["stream"] for ban in json.loads(_admin(vendor, "/bans"))]
