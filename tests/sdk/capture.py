"""What a vendor's client really sends: the bytes of its requests, at a clock and with a nonce of
our choosing.

The clients sign for the vendors' own hosts. Their connections end at a listener on loopback,
diverted below them where host names are resolved, so nothing in a client is changed but what it
takes for the time and for a random number.
"""

import contextlib
import datetime
import os
import socket
import sys
import threading
import time
import types
from unittest import mock
from urllib.parse import parse_qsl

import aliyunsdkcore.utils.parameter_helper
import alibabacloud_tea_openapi.utils
import huaweicloudsdkcore.signer.signer
import tencentcloud.common.abstract_client
import wangsu.common.auth.AkSkAuth  # noqa: F401 (its name is found in sys.modules below)
from wangsu.common.Constant.Constant import Constant

# Every client is content with this.
ANSWER = b'{"RequestId":"R","Response":{"RequestId":"R"},"code":"00","message":"ok"}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
)
LENGTH = b"content-length:"


class Sent:
    """One request off the wire, header values and body as UTF-8."""

    def __init__(self, rows, body):
        line, *rows = rows
        self.method, target, _ = line.decode("ascii").split(" ")
        self.path, _, self.raw_query = target.partition("?")
        self.headers = []
        for row in rows:
            name, _, value = row.partition(b":")
            self.headers.append([name.decode("ascii"), value.strip(b" \t").decode()])
        self.body = body.decode()

    def header(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), "")

    def query(self):
        """Decoded, as servers do it: a plus is a space."""
        return [list(pair) for pair in parse_qsl(self.raw_query, keep_blank_values=True)]

    def form(self):
        """The decoded form in the body; empty where there is none."""
        form = self.header("content-type").startswith("application/x-www-form-urlencoded")
        return [list(pair) for pair in parse_qsl(self.body, keep_blank_values=True)] if form else []

    def recorded(self, signed_form=False):
        """For the signer under test."""
        return {
            "method": self.method,
            "host": self.header("host"),
            "path": self.path,
            "raw_query": self.raw_query,
            "query": self.query() + (self.form() if signed_form else []),
            "headers": self.headers,
            "body": self.body,
        }


class Listener:
    """Reads one request a connection, keeps it and answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.sent = []
        threading.Thread(target=self._serve, daemon=True).start()

    def address(self, *_args, **_more):
        """In the place of socket.getaddrinfo."""
        place = self.socket.getsockname()
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]

    def _serve(self):
        while True:
            taken, _ = self.socket.accept()
            taken.settimeout(5)
            with contextlib.suppress(OSError), taken, taken.makefile("rb") as stream:
                self.sent.append(self._read(stream))
                taken.sendall(REPLY)

    @staticmethod
    def _read(stream):
        rows = []
        while row := stream.readline(65_536).removesuffix(b"\r\n"):
            rows.append(row)
        lengths = [int(row.split(b":")[1]) for row in rows if row.lower().startswith(LENGTH)]
        return rows, stream.read(lengths[0]) if lengths else b""


_listener = Listener()


def _pinned_time(clock):
    def gmtime(*_seconds):
        return time.gmtime(clock)

    return types.SimpleNamespace(
        time=lambda: float(clock), gmtime=gmtime, strftime=time.strftime, sleep=time.sleep
    )


def _pinned_datetime(clock):
    class Pinned(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return cls(1970, 1, 1) + datetime.timedelta(seconds=clock)

    return Pinned


def _pins(clock, nonce):
    """What each client takes for the time and for a nonce."""
    tea = alibabacloud_tea_openapi.utils
    old = aliyunsdkcore.utils.parameter_helper
    yield mock.patch.object(tea, "datetime", _pinned_datetime(clock))
    yield mock.patch.object(tea.Utils, "get_nonce", staticmethod(lambda: nonce))
    yield mock.patch.object(old, "time", _pinned_time(clock))
    yield mock.patch.object(old, "get_uuid", lambda: nonce)
    yield mock.patch.object(
        huaweicloudsdkcore.signer.signer, "datetime", _pinned_datetime(clock)
    )
    yield mock.patch.object(
        tencentcloud.common.abstract_client, "time", _pinned_time(clock)
    )
    wangsu_auth = sys.modules["wangsu.common.auth.AkSkAuth"]
    yield mock.patch.object(wangsu_auth, "time", _pinned_time(clock))
    # This client speaks nothing but https to whatever end point it is given.
    yield mock.patch.object(Constant, "HTTPS_REQUEST_PREFIX", "http://")


def capture(clock, nonce, act):
    """The one request that `act` sends."""
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    before = len(_listener.sent)
    with contextlib.ExitStack() as stack:
        for pin in _pins(clock, nonce):
            stack.enter_context(pin)
        environment = stack.enter_context(mock.patch.dict(os.environ))
        for name in proxies:
            del environment[name]
        stack.enter_context(mock.patch.object(socket, "getaddrinfo", _listener.address))
        act()
    (sent,) = _listener.sent[before:]
    return Sent(*sent)
