"""Signatures and requests of tidegate-cdn next to those of the current and the previous SDK of
Alibaba Cloud."""

import contextlib
import importlib
import inspect
import pkgutil
from types import SimpleNamespace

import aliyunsdklive.request.v20161101
from alibabacloud_live20161101 import models
from alibabacloud_live20161101.client import Client
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from alibabacloud_tea_openapi.utils import Utils
from aliyunsdkcore.auth.algorithm import sha_hmac1
from aliyunsdkcore.auth.composer import rpc_signature_composer
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from capture import capture
from darabonba.runtime import RuntimeOptions
from inputs import Inputs, utc
from signer import Alike

ACS3 = "ACS3-HMAC-SHA256"
RPC = "RPC v1 HMAC-SHA1"
HOSTS = ("live.aliyuncs.com", "live.ap-southeast-1.aliyuncs.com")
REGIONS = ("cn-shanghai", "ap-southeast-1", "eu-central-1")
LENT = ("key", "secret", "clock", "nonce")


def given(inputs, secret):
    clock = inputs.clock()
    return {"key": inputs.key(), "secret": secret, "clock": clock, "nonce": inputs.nonce()}


def current(case, host, token=None, scheme=None):
    config = Config(
        access_key_id=case["key"],
        access_key_secret=case["secret"],
        security_token=token,
        signature_algorithm=scheme,
        endpoint=host,
        protocol="http",
    )
    return Client(config)


def filled(kind, inputs):
    """A request model of the current SDK with something in its plain fields."""
    fields = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        choices = {
            "str": inputs.text(),
            "int": inputs.random.randrange(-(2**63), 2**63),
            "bool": inputs.pick(True, False),
        }
        value = choices.get(str(parameter.annotation))
        if value is not None and inputs.random.random() < 0.8:
            fields[name] = value
    return kind(**fields)


class Aliyun(Alike):
    meant = ("x-acs-",)
    own = frozenset(["x-acs-credentials-provider"])

    def ours(self, inputs, number, case):
        """One of our operations: what we are asked for, the action and its parameters."""
        built = {
            "vendor": "aliyun",
            "host": inputs.pick(*HOSTS),
            "token": inputs.token(),
            "domain": inputs.domain(),
            "play": inputs.domain(),
            "app": inputs.app(),
            "stream": inputs.stream(),
            "until": inputs.until(case["clock"]),
            "page": inputs.random.randrange(1000),
            "size": inputs.random.randint(1, 3000),
        }
        named = {
            "DomainName": built["domain"],
            "AppName": built["app"],
            "StreamName": built["stream"],
        }
        pushed = {**named, "LiveStreamType": "publisher"}
        listed = {
            "DomainName": built["play"],
            "PageNum": built["page"] + 1,
            "PageSize": built["size"],
        }
        live = {**listed, "AppName": built["app"], "QueryType": "strict"}
        end = utc(built["until"])
        built["operation"], action, parameters = (
            ("forbid", "ForbidLiveStream", {**pushed, "ResumeTime": end}),
            ("kick", "ForbidLiveStream", {**pushed, "Oneshot": "yes"}),
            ("resume", "ResumeLiveStream", pushed),
            ("stream_state", "DescribeLiveStreamState", named),
            ("list_forbidden", "DescribeLiveStreamsBlockList", listed),
            ("online", "DescribeLiveStreamsOnlineList", live),
        )[number % 6]
        return built, action, parameters


class Current(Aliyun):
    """alibabacloud_live20161101 with ACS3."""

    scheme, algorithm, auth = ACS3, None, "acs3-hmac-sha256"

    def check(self, sent, what, case):
        lent = {name: case[name] for name in LENT}
        signed_form = self.scheme == RPC
        self.assert_signed_alike(sent, self.scheme, what, signed_form=signed_form, **lent)

    def test_every_kind_of_call(self):
        inputs = Inputs(f"aliyun calls {self.scheme}")
        names = [
            name
            for name in dir(Client)
            if name.endswith("_with_options")
            and "request" in inspect.signature(getattr(Client, name)).parameters
        ]
        for name in inputs.random.sample(names, 120):
            method = getattr(Client, name)
            kind = inspect.signature(method).parameters["request"].annotation
            request = filled(getattr(models, kind.rpartition(".")[2]), inputs)
            request.validate = lambda: None
            case = given(inputs, inputs.any_secret())
            client = current(case, inputs.pick(*HOSTS), inputs.token(), self.algorithm)

            def send(client=client, method=method, request=request):
                method(client, request, RuntimeOptions())

            sent = capture(case["clock"], case["nonce"], send)
            self.check(sent, "the current SDK's calls", case)

    def test_forms_headers_and_get(self):
        inputs = Inputs(f"aliyun forms {self.scheme}")
        for _ in range(60):
            names = [f"N.{inputs.of('aB1', 1, 4)}" for _ in range(4)]
            texts = {name: inputs.text() for name in names}
            form = {"F.1": inputs.text(), "F.2": [inputs.text(), {"x": inputs.text()}]}
            method, body = inputs.pick(("GET", None), ("POST", None), ("POST", form))
            # Blanks within a value are signed as they are, blanks around it are not.
            headers = inputs.pick({}, {"x-acs-note": f"two  words {inputs.of('abc', 1, 9)}"})
            request = OpenApiRequest(query=texts, body=body, headers=headers)
            params = Params(
                action=inputs.pick("ForbidLiveStream", "DescribeLiveDomains"),
                version="2016-11-01",
                protocol="HTTP",
                pathname="/",
                method=method,
                auth_type="AK",
                style="RPC",
                req_body_type=inputs.pick("formData", "json"),
                body_type="json",
            )
            case = given(inputs, inputs.any_secret())
            client = current(case, inputs.pick(*HOSTS), inputs.token(), self.algorithm)

            def send(client=client, params=params, request=request):
                client.call_api(params, request, RuntimeOptions())

            sent = capture(case["clock"], case["nonce"], send)
            self.check(sent, f"the current SDK's {method}", case)

    def test_our_operations(self):
        inputs = Inputs(f"aliyun ours {self.scheme}")
        for number in range(90):
            case = given(inputs, inputs.secret())
            built, action, parameters = self.ours(inputs, number, case)
            built["auth"] = self.auth
            kind = getattr(models, f"{action}Request")
            request = kind().from_map(parameters)
            if hasattr(request, "region_id"):
                built["region"] = request.region_id = inputs.pick(None, *REGIONS)
            client = current(case, built["host"], built["token"], self.algorithm)
            method = "".join(f"_{c.lower()}" if c.isupper() else c for c in action)[1:]

            def send(client=client, method=method, request=request):
                getattr(client, f"{method}_with_options")(request, RuntimeOptions())

            sent = capture(case["clock"], case["nonce"], send)
            self.check(sent, "the current SDK's calls", case)
            ours = self.assert_asked_alike(sent, self.scheme, action, built=built, **case)
            self.assert_client_would_sign(ours, case)

    def assert_client_would_sign(self, ours, case):
        """The client derives our signature from our bytes."""
        signed = {
            name: value
            for name, value in ours.headers.items()
            if name not in ("authorization", "accept")
        }
        request = SimpleNamespace(
            method=ours.method, pathname=ours.path, query=dict(ours.query()), headers=signed
        )
        digest = signed["x-acs-content-sha256"]
        want = Utils.get_authorization(request, ACS3, digest, case["key"], case["secret"])
        self.assertEqual(ours.headers["authorization"], want)


class CurrentRpc(Current):
    """The same SDK with RPC v1."""

    scheme, algorithm, auth = RPC, "v2", "rpc-v1"
    meant = ()
    own = frozenset(["Signature", "Format"])

    def assert_client_would_sign(self, ours, case):
        query = dict(ours.query())
        signature = query.pop("Signature")
        self.assertEqual(signature, Utils.get_rpcsignature(query, ours.method, case["secret"]))


class Previous(Aliyun):
    """aliyun-python-sdk-live: RPC v1."""

    meant = ()
    own = frozenset(["Signature", "SignatureType", "Format"])

    def send(self, request, case, host, region, token):
        lent = StsTokenCredential(case["key"], case["secret"], token) if token else None
        key, secret = (None, None) if token else (case["key"], case["secret"])
        client = AcsClient(key, secret, region, credential=lent, auto_retry=False)
        request.set_endpoint(host)
        request.set_protocol_type("http")
        return capture(
            case["clock"], case["nonce"], lambda: client.do_action_with_exception(request)
        )

    def request(self, name):
        module = importlib.import_module(f"aliyunsdklive.request.v20161101.{name}")
        return getattr(module, name)()

    def test_every_kind_of_call(self):
        inputs = Inputs("aliyun previous")
        requests = aliyunsdklive.request.v20161101.__path__
        names = sorted(module.name for module in pkgutil.iter_modules(requests))
        for name in inputs.random.sample(names, 150):
            request = self.request(name)
            case = given(inputs, inputs.any_secret())
            for setter in [name for name in dir(request.__class__) if name.startswith("set_")]:
                own = setter in vars(request.__class__)
                if own and inputs.random.random() < 0.8:
                    # Some take lists of structures.
                    with contextlib.suppress(AttributeError, TypeError):
                        getattr(request, setter)(inputs.text())
            request.add_query_param(inputs.text() or "n", inputs.text())
            if inputs.random.random() < 0.2:
                request.add_body_params("Form", inputs.text())
            if inputs.random.random() < 0.3 and not request.get_body_params():
                request.set_method("GET")
            token = inputs.token()
            sent = self.send(request, case, inputs.pick(*HOSTS), inputs.pick(*REGIONS), token)
            self.assert_signed_alike(
                sent, RPC, f"the previous SDK's {sent.method}", signed_form=True, **case
            )

    def test_our_operations(self):
        inputs = Inputs("aliyun previous ours")
        for number in range(60):
            case = given(inputs, inputs.secret())
            built, action, parameters = self.ours(inputs, number, case)
            built["auth"] = "rpc-v1"
            built["region"] = inputs.pick(*REGIONS)
            request = self.request(f"{action}Request")
            for name, value in parameters.items():
                getattr(request, f"set_{name}")(value)
            request.set_method("POST")
            sent = self.send(request, case, built["host"], built["region"], built["token"])
            self.assert_signed_alike(sent, RPC, "the previous SDK's POST", **case)
            ours = self.assert_asked_alike(sent, RPC, action, built=built, **case)
            query = dict(ours.query())
            signature = query.pop("Signature")
            compose = rpc_signature_composer.__dict__["__compose_string_to_sign"]
            to_sign = compose(ours.method, query)
            want = sha_hmac1.get_sign_string(to_sign, case["secret"] + "&")
            self.assertEqual(signature, want)


del Aliyun
