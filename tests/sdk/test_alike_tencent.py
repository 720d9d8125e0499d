"""Signatures and requests of tidegate-cdn next to those of tencentcloud-sdk-python-live."""

from capture import capture
from inputs import Inputs, utc
from signer import Alike
from tencentcloud.common.abstract_client import AbstractClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.http.request import RequestInternal
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.live.v20180801 import live_client, models

SCHEME = "TC3-HMAC-SHA256"
HOSTS = ("live.tencentcloudapi.com", "live.intl.tencentcloudapi.com", "live.example.com")


class Tencent(Alike):
    meant = ("x-tc-", "content-type")
    own = frozenset(["x-tc-language", "x-tc-requestclient", "x-tc-traceid"])

    def client(self, case, host, method="POST", region="", token=None, unsigned=False):
        http = HttpProfile(protocol="http", endpoint=host, reqMethod=method)
        profile = ClientProfile(httpProfile=http)
        profile.unsignedPayload = unsigned
        credential = Credential(case["key"], case["secret"], token)
        return live_client.LiveClient(credential, region, profile)

    def test_other_calls(self):
        inputs = Inputs("tencent calls")
        names = dir(live_client.LiveClient)
        actions = [name for name in names if hasattr(models, f"{name}Request")]
        for number in range(150):
            case = {"key": inputs.key(), "secret": inputs.any_secret(), "clock": inputs.clock()}
            action = inputs.pick(*actions)
            request = getattr(models, f"{action}Request")()
            for field in vars(request):
                value = inputs.pick(
                    None,
                    inputs.text(),
                    inputs.random.randrange(-(2**63), 2**63),
                    [inputs.text(), inputs.text()],
                )
                setattr(request, field, value)
            client = self.client(
                case,
                inputs.pick(*HOSTS),
                inputs.pick("POST", "GET"),
                inputs.pick("", "ap-guangzhou", "eu-frankfurt"),
                inputs.token(),
                unsigned=number % 10 == 0,
            )
            params = {"Extra": {inputs.text(): [inputs.text(), {"b": inputs.text()}]}}
            params.update(request._serialize(allow_none=False))

            def send(client=client, action=action, params=params):
                client.call_json(action, params)

            sent = capture(case["clock"], "", send)
            self.assert_signed_alike(sent, SCHEME, f"Tencent's client ({sent.method})", **case)

    def test_our_operations(self):
        inputs = Inputs("tencent ours")
        for number in range(150):
            clock = inputs.clock()
            case = {"key": inputs.key(), "secret": inputs.secret(), "clock": clock}
            token, region = inputs.token(), inputs.pick(None, "ap-guangzhou")
            built = {
                "vendor": "tencent",
                "auth": "tc3-hmac-sha256",
                "host": inputs.pick(*HOSTS),
                "token": token,
                "region": region,
                "domain": inputs.domain(),
                "app": inputs.app(),
                "stream": inputs.stream(),
                "until": inputs.until(clock),
                "page": inputs.random.randrange(1000),
                "size": inputs.random.randint(10, 100),
            }
            place = {"DomainName": built["domain"], "AppName": built["app"]}
            named = {**place, "StreamName": built["stream"]}
            page = {"PageNum": built["page"] + 1, "PageSize": built["size"]}
            operation, action, params = (
                ("forbid", "ForbidLiveStream", {**named, "ResumeTime": utc(built["until"])}),
                ("resume", "ResumeLiveStream", named),
                ("kick", "DropLiveStream", named),
                ("stream_state", "DescribeLiveStreamState", named),
                ("find_forbidden", "DescribeLiveStreamState", named),
                ("online", "DescribeLiveStreamOnlineList", {**place, **page}),
                ("list_forbidden", "DescribeLiveForbidStreamList", page),
            )[number % 7]
            client = self.client(case, built["host"], region=region or "", token=token)

            def send(client=client, action=action, params=params):
                kind = getattr(models, f"{action}Request", None)
                if kind is None:
                    return client.call_json(action, params)
                request = kind()
                request._deserialize(params)
                return getattr(client, action)(request)

            sent = capture(clock, "", send)
            self.assert_signed_alike(sent, SCHEME, "Tencent's client (POST)", **case)
            built["operation"] = operation
            ours = self.assert_asked_alike(sent, SCHEME, action, built=built, **case)
            self.assert_client_would_sign(client, ours, case)

    def assert_client_would_sign(self, client, ours, case):
        """The client derives our signature from our bytes."""
        header = {"Content-Type": ours.headers["content-type"], "Host": ours.headers["host"]}
        header["X-TC-Timestamp"] = ours.headers["x-tc-timestamp"]
        request = RequestInternal(ours.host, ours.method, ours.path, header, ours.body)
        date = utc(case["clock"])[:10]
        signature = AbstractClient._get_tc3_signature(
            client, None, request, date, "live", case["secret"]
        )
        self.assertTrue(ours.headers["authorization"].endswith(f", Signature={signature}"))
