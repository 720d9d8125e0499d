"""Signatures and requests of tidegate-cdn next to those of wangsu-sdk-python, and next to the
published recipe for account + apiKey, which no client of the vendor's follows."""

import base64
import hashlib
import hmac
import json
from email.utils import formatdate
from urllib.parse import quote

from capture import capture
from inputs import Inputs
from signer import Alike, Built, ask, compared
from wangsu.common.auth.AkSkAuth import AkSkAuth
from wangsu.common.auth.AkSkConfig import AkSkConfig
from wangsu.common.auth.HttpRequestMsg import HttpRequestMsg
from wangsu.streamforbid import models

SCHEME = "CNC-HMAC-SHA256"
HOSTS = (None, "open.chinanetcenter.com", "api.cdnetworks.com", "Open.Example.COM")


def config(case, host, uri, method="POST", signed=None):
    made = AkSkConfig()
    made.access_key, made.secret_key = case["key"], case["secret"]
    made.end_point, made.uri, made.method = host, uri, method
    made.signed_headers = signed
    return made


class Wangsu(Alike):
    meant = ("x-cnc-", "content-type")

    def test_other_calls(self):
        inputs = Inputs("wangsu calls")
        for _ in range(120):
            case = {"key": inputs.key(), "secret": inputs.any_secret(), "clock": inputs.clock()}
            method = inputs.pick("POST", "GET", "PUT", "DELETE")
            texts = [inputs.text() for _ in range(inputs.random.randrange(6))]
            query = "&".join(f"{name}={quote(text)}" for name, text in zip("dacbe", texts))
            uri = inputs.pick("/api/live/forbid", "/cm/a%20b/%E7%9B%B4", "/x/y-_.~z")
            uri += f"?{query}" if query else ""
            signed = inputs.pick(None, "Host;content-type;X-CNC-Timestamp", "host;accept;host;none")
            made = config(case, inputs.pick(*HOSTS), uri, method, signed)
            body = json.dumps({inputs.text(): inputs.text()}, ensure_ascii=inputs.pick(True, False))

            def send(made=made, body=body):
                # The library below takes text for Latin-1.
                AkSkAuth.invoke(made, body if body.isascii() else Text(body))

            sent = capture(case["clock"], "", send)
            self.assert_signed_alike(sent, SCHEME, f"Wangsu's client ({method})", **case)

    def test_our_operations(self):
        inputs = Inputs("wangsu ours")
        for number in range(100):
            clock = inputs.clock()
            case = {"key": inputs.key(), "secret": inputs.secret(), "clock": clock}
            built = {
                "vendor": "ws",
                "auth": "cnc-hmac-sha256",
                "host": inputs.pick("open.chinanetcenter.com", "api.cdnetworks.com"),
                "domain": inputs.domain(),
                "app": inputs.app(),
                "stream": inputs.stream(),
                "until": inputs.until(clock),
            }
            url = f"rtmp://{built['domain']}/{built['app']}/{built['stream']}"
            named = {"liveUrl": url, "type": "publish"}
            record = "/cm/stream/forbidQuery"
            end = {"abstimeEnd": str(built["until"])}
            operation, kind, uri, fields = (
                ("forbid", models.ForbidLivestreamingRequest, "/api/live/forbid", {**named, **end}),
                ("resume", models.ResumeLivestreamingRequest, "/api/live/resume", named),
                ("kick", models.StopLivestreamingRequest, "/api/live/stop", named),
                (
                    "list_forbidden",
                    models.QueryForbidLivestreamRecordRequest,
                    record,
                    {"channel": built["domain"]},
                ),
                (
                    "find_forbidden",
                    models.QueryForbidLivestreamRecordRequest,
                    record,
                    {"channel": built["domain"], "url": url},
                ),
            )[number % 5]
            request = kind()
            request.from_map(fields)
            made = config(case, built["host"], uri)

            def send(made=made, request=request):
                AkSkAuth.invoke(made, json.dumps(request.to_map()))

            sent = capture(clock, "", send)
            self.assert_signed_alike(sent, SCHEME, "Wangsu's client (POST)", **case)
            built["operation"] = operation
            ours = self.assert_asked_alike(sent, SCHEME, operation, built=built, **case)
            message = HttpRequestMsg()
            message.uri, message.method, message.body = ours.path, ours.method, ours.body
            message.headers = ours.headers
            signature = AkSkAuth.get_signature(message, case["secret"], str(clock))
            self.assertTrue(ours.headers["authorization"].endswith(f", Signature={signature}"))

    def test_account_and_api_key(self):
        inputs = Inputs("wangsu apikey")
        for _ in range(40):
            clock = inputs.clock()
            case = {"key": inputs.key(), "secret": inputs.secret(), "clock": clock}
            built = {
                "vendor": "ws",
                "auth": "api-key",
                "host": "open.chinanetcenter.com",
                "operation": "resume",
                "domain": inputs.domain(),
                "app": "live",
                "stream": inputs.stream(),
            }
            ours = Built(ask(scheme="Basic", built=built, **case)["built"])
            date = formatdate(clock, usegmt=True)
            mac = hmac.digest(case["secret"].encode(), date.encode(), hashlib.sha1)
            pair = f"{case['key']}:{base64.b64encode(mac).decode()}"
            want = f"Basic {base64.b64encode(pair.encode()).decode()}"
            got = (ours.headers["date"], ours.headers["authorization"])
            self.assertEqual(got, (date, want), case)
            compared["Basic HMAC-SHA1 requests of ours, by the published recipe"] += 1


class Text(str):
    """A text whose bytes on the wire are UTF-8."""

    def encode(self, *_args):
        return super().encode("utf-8")
