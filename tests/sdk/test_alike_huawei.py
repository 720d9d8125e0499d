"""Signatures and requests of tidegate-cdn next to those of huaweicloudsdklive."""

import datetime
import inspect

from capture import capture
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from huaweicloudsdklive import v1, v2
from inputs import Inputs, utc
from signer import Alike

SCHEME = "SDK-HMAC-SHA256"
REGIONS = ("cn-north-4", "cn-north-1", "cn-east-3", "ap-southeast-2", "ap-southeast-3")


def client(case, host, project, token=None, kind=v1.LiveClient):
    held = BasicCredentials(case["key"], case["secret"], project)
    if token:
        held = held.with_security_token(token)
    return kind.new_builder().with_credentials(held).with_endpoint(f"http://{host}").build()


def value(kind, inputs, models, depth=0):
    """Something of a type as the SDK's models name it; None for what is not simple."""
    if kind == "str":
        return inputs.text()
    if kind in ("int", "long"):
        return inputs.random.randrange(2**31)
    if kind == "float":
        return inputs.random.random()
    if kind == "bool":
        return inputs.pick(True, False)
    if kind == "datetime":
        return datetime.datetime(2026, 3, 5, 8, 9, 10)
    if kind.startswith("list[") and depth < 3:
        made = [value(kind[5:-1], inputs, models, depth + 1) for _ in range(2)]
        return None if None in made else made
    model = getattr(models, kind, None)
    if inspect.isclass(model) and hasattr(model, "openapi_types") and depth < 3:
        return filled(model, inputs, models, depth + 1)
    return None


def filled(kind, inputs, models, depth=0):
    made = kind()
    for name, of in kind.openapi_types.items():
        got = value(of, inputs, models, depth)
        if isinstance(got, str) and kind.attribute_map[name][0].isupper():
            # Goes into a header, where lines must not break.
            got = inputs.stream()
        try:
            setattr(made, name, got)
        except ValueError:
            # An enumeration, or a range; left unset.
            continue
    return made


def calls(kind, models):
    """Every method of a client that takes a request, with that request's class."""
    for name in dir(kind):
        words = "".join(word.capitalize() for word in name.split("_"))
        request = getattr(models, f"{words}Request", None)
        if not name.startswith("_") and request is not None:
            yield name, request


class Huawei(Alike):
    meant = ("x-sdk-date", "x-project-id", "x-security-token", "content-type")

    def test_every_kind_of_call(self):
        inputs = Inputs("huawei calls")
        every = [(v1, *call) for call in calls(v1.LiveClient, v1.model)]
        every += [(v2, *call) for call in calls(v2.LiveClient, v2.model)]
        self.assertGreater(len(every), 120)
        for api, name, kind in every:
            case = {"key": inputs.key(), "secret": inputs.any_secret(), "clock": inputs.clock()}
            host = f"live.{inputs.pick(*REGIONS)}.myhuaweicloud.com"
            project = inputs.nonce()
            by = client(case, host, project, inputs.token(), api.LiveClient)
            request = filled(kind, inputs, api.model)

            def send(by=by, name=name, request=request):
                getattr(by, name)(request)

            sent = capture(case["clock"], "", send)
            self.assert_signed_alike(sent, SCHEME, f"Huawei's client ({sent.method})", **case)

    def test_paths_types_and_repeated_parameters(self):
        inputs = Inputs("huawei paths")
        for _ in range(80):
            case = {"key": inputs.key(), "secret": inputs.any_secret(), "clock": inputs.clock()}
            by = client(case, "live.cn-north-4.myhuaweicloud.com", inputs.nonce())
            method = inputs.pick("GET", "POST", "PUT", "DELETE")
            body = inputs.pick(inputs.text(), {"a": inputs.text()})
            if method in ("GET", "DELETE"):
                body = None
            content = inputs.pick("application/json", "application/json", "text/plain", None)
            note = inputs.text().replace("\n", "").strip() or "-"
            headers = {"X-Note": note, "X_Unsigned": "a"}
            if content:
                headers["Content-Type"] = content

            def send(by=by, method=method, body=body, headers=headers):
                by.call_api(
                    "/v1/{project_id}/a/{name}/",
                    method,
                    path_params={"name": f"n{inputs.text()}"},
                    query_params=[
                        ("b", inputs.text()),
                        ("a", [inputs.text(), inputs.text()]),
                        ("B", inputs.random.randrange(100)),
                        ("c", True),
                    ],
                    header_params=headers,
                    body=body,
                    response_type="ListLiveSampleLogsResponse",
                    collection_formats={"a": "multi"},
                )

            sent = capture(case["clock"], "", send)
            self.assert_signed_alike(sent, SCHEME, f"Huawei's client ({sent.method})", **case)

    def test_our_operations(self):
        inputs = Inputs("huawei ours")
        for number in range(160):
            clock = inputs.clock()
            case = {"key": inputs.key(), "secret": inputs.secret(), "clock": clock}
            region = inputs.pick(*REGIONS)
            built = {
                "vendor": "huawei",
                "auth": "sdk-hmac-sha256",
                "host": f"live.{region}.myhuaweicloud.com",
                "token": inputs.token(),
                "region": region,
                "project": inputs.nonce(),
                "domain": inputs.domain(),
                "app": inputs.app(),
                "stream": inputs.stream(),
                "until": inputs.until(clock),
                "page": inputs.random.randrange(1000),
                "size": inputs.random.randint(1, 100),
            }
            place = {"domain": built["domain"], "app_name": built["app"]}
            named = {**place, "stream_name": built["stream"]}
            until = {**named, "resume_time": utc(built["until"])}
            live = {"publish_domain": built["domain"], "app": built["app"]}
            window = {"offset": built["page"] * built["size"], "limit": built["size"]}
            one = {**live, "stream": built["stream"], "offset": 0, "limit": 100}
            listed = {"domain": built["domain"], "page": built["page"], "size": built["size"]}
            operation, name, fields = (
                ("forbid", "create_stream_forbidden", {"body": until}),
                ("change_end", "update_stream_forbidden", {"body": until}),
                ("resume", "delete_stream_forbidden", named),
                ("kick", "create_stream_forbidden_once", {"body": named}),
                ("find_forbidden", "list_stream_forbidden", {**named, "page": 0, "size": 100}),
                ("list_forbidden", "list_stream_forbidden", listed),
                ("stream_state", "list_live_streams_online", one),
                ("online", "list_live_streams_online", {**live, **window}),
            )[number % 8]
            kind = dict(calls(v1.LiveClient, v1.model))[name]
            if "body" in fields:
                fields = {"body": getattr(v1.model, kind.openapi_types["body"])(**fields["body"])}
            by = client(case, built["host"], built["project"], built["token"])

            def send(by=by, name=name, request=kind(**fields)):
                getattr(by, name)(request)

            sent = capture(clock, "", send)
            self.assert_signed_alike(sent, SCHEME, f"Huawei's client ({sent.method})", **case)
            built["operation"] = operation
            ours = self.assert_asked_alike(sent, SCHEME, operation, built=built, **case)
            self.assert_client_would_sign(ours, case)

    def assert_client_would_sign(self, ours, case):
        """The client derives our signature from our bytes."""
        headers = {name: text for name, text in ours.headers.items() if name != "authorization"}
        date = headers.pop("x-sdk-date")
        request = SdkRequest(
            method=ours.method,
            host=ours.host,
            resource_path=ours.path,
            query_params=[tuple(pair) for pair in ours.query()],
            header_params={**headers, "X-Sdk-Date": date},
            body=ours.body,
        )
        signed = Signer(BasicCredentials(case["key"], case["secret"])).sign(request)
        self.assertEqual(ours.headers["authorization"], signed.header_params["Authorization"])
