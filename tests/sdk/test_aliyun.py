"""The current and the previous SDK of Alibaba Cloud against the simulated Alibaba Cloud Live."""

import json
import unittest

import boxes
from alibabacloud_live20161101 import models
from alibabacloud_live20161101.client import Client
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdklive.request.v20161101.DescribeLiveStreamsBlockListRequest import (
    DescribeLiveStreamsBlockListRequest,
)
from aliyunsdklive.request.v20161101.DescribeLiveStreamsOnlineListRequest import (
    DescribeLiveStreamsOnlineListRequest,
)
from aliyunsdklive.request.v20161101.DescribeLiveStreamStateRequest import (
    DescribeLiveStreamStateRequest,
)
from aliyunsdklive.request.v20161101.ForbidLiveStreamRequest import ForbidLiveStreamRequest
from aliyunsdklive.request.v20161101.ResumeLiveStreamRequest import ResumeLiveStreamRequest

PUSH = {"domain_name": "push.example.com", "app_name": "live"}


def client(key="full-key", secret="full-secret", token=None, scheme=None):
    return Client(
        Config(
            access_key_id=key,
            access_key_secret=secret,
            security_token=token,
            signature_algorithm=scheme,
            endpoint=boxes.api("aliyun"),
            protocol="http",
            region_id="cn-shanghai",
        )
    )


def forbid(by, name, **more):
    request = models.ForbidLiveStreamRequest(
        stream_name=name, live_stream_type="publisher", **PUSH, **more
    )
    return by.forbid_live_stream(request)


class Current(unittest.TestCase):
    """Both signature schemes of the current SDK."""

    scheme = None

    def refused(self, code, act, *args, **more):
        with self.assertRaises(Exception) as caught:
            act(*args, **more)
        self.assertEqual(getattr(caught.exception, "code", None), code, repr(caught.exception))
        return caught.exception

    def test_every_operation(self):
        mine = client(scheme=self.scheme)
        name = f"sdk a+b*~ 直播 {self.scheme}"
        answer = forbid(mine, name, resume_time=boxes.ENDS)
        self.assertEqual(len(answer.body.request_id), 36)
        self.assertIn(name, boxes.bans("aliyun"))
        request = models.DescribeLiveStreamsBlockListRequest(
            domain_name="play.example.com", page_num=1, page_size=3000
        )
        listed = mine.describe_live_streams_block_list(request).body
        self.assertIn(f"push.example.com/live/{name}", listed.stream_urls.stream_url)
        self.assertEqual(listed.total_page, 1)
        self.refused("ConfigAlreadyExists", forbid, mine, name, resume_time=boxes.ENDS)
        request = models.ResumeLiveStreamRequest(
            stream_name=name, live_stream_type="publisher", **PUSH
        )
        self.assertTrue(mine.resume_live_stream(request).body.request_id)
        self.assertNotIn(name, boxes.bans("aliyun"))
        forbid(mine, "sdk-once", oneshot="yes")
        self.assertEqual(boxes.last("aliyun")["operation"], "kick")
        request = models.DescribeLiveStreamStateRequest(stream_name="onair", **PUSH)
        state = mine.describe_live_stream_state(request).body
        self.assertEqual((state.stream_state, state.type), ("online", "push"))
        request = models.DescribeLiveStreamsOnlineListRequest(domain_name="play.example.com")
        online = mine.describe_live_streams_online_list(request).body
        (row,) = online.online_info.live_stream_online_info
        self.assertEqual((row.stream_name, row.publish_domain), ("onair", "push.example.com"))

    def test_temporary_credentials(self):
        good = client("sts-key", "sts-secret", "sts/token+==", self.scheme)
        request = models.DescribeLiveStreamStateRequest(stream_name="sdk", **PUSH)
        self.assertEqual(good.describe_live_stream_state(request).body.stream_state, "offline")
        bad = client("sts-key", "sts-secret", "other", self.scheme)
        code = "InvalidSecurityToken.MismatchWithAccessKey"
        self.refused(code, bad.describe_live_stream_state, request)

    def test_refusals(self):
        mine = client(scheme=self.scheme)
        wrong = client(secret="wrong", scheme=self.scheme)
        self.refused("SignatureDoesNotMatch", forbid, wrong, "sdk-c")
        self.refused(
            "InvalidAccessKeyId.NotFound", forbid, client("nobody", scheme=self.scheme), "sdk-c"
        )
        self.refused(
            "InvalidAccessKeyId.Inactive",
            forbid,
            client("old-key", "old-secret", scheme=self.scheme),
            "sdk-c",
        )
        reader = client("reader-key", "reader-secret", scheme=self.scheme)
        self.refused("Forbidden", forbid, reader, "sdk-c")
        self.refused(
            "InvalidResumeTime.Malformed", forbid, mine, "sdk-c", resume_time="2020-01-01T00:00:00Z"
        )
        request = models.DescribeLiveStreamsBlockListRequest(domain_name="other.example.com")
        self.refused("InvalidDomain.NotFound", mine.describe_live_streams_block_list, request)
        boxes.fault("aliyun", kind="throttle")
        self.refused("Throttling.User", forbid, mine, "sdk-c")
        boxes.fault("aliyun", kind="wrong-clock", seconds=1000)
        self.refused("InvalidTimeStamp.Expired", forbid, mine, "sdk-c")
        boxes.fault("aliyun", kind="server-error", status=503)
        self.refused("ServiceUnavailable", forbid, mine, "sdk-c")
        self.assertNotIn("sdk-c", boxes.bans("aliyun"))


class CurrentRpc(Current):
    scheme = "v2"


class Previous(unittest.TestCase):
    """aliyun-python-sdk-live: RPC v1."""

    def send(self, request, key="full-key", secret="full-secret", **fields):
        host, port = boxes.api("aliyun").split(":")
        by = AcsClient(key, secret, "cn-shanghai", port=int(port), auto_retry=False)
        request.set_endpoint(host)
        for name, value in fields.items():
            getattr(request, f"set_{name}")(value)
        return json.loads(by.do_action_with_exception(request))

    def named(self, name):
        return {
            "DomainName": "push.example.com",
            "AppName": "live",
            "StreamName": name,
        }

    def test_every_operation(self):
        typed = {"LiveStreamType": "publisher"}
        answer = self.send(ForbidLiveStreamRequest(), **self.named("old a*b"), **typed)
        self.assertIn("RequestId", answer)
        listed = self.send(DescribeLiveStreamsBlockListRequest(), DomainName="play.example.com")
        self.assertIn("push.example.com/live/old a*b", listed["StreamUrls"]["StreamUrl"])
        self.send(ResumeLiveStreamRequest(), **self.named("old a*b"), **typed)
        self.assertNotIn("old a*b", boxes.bans("aliyun"))
        state = self.send(DescribeLiveStreamStateRequest(), **self.named("onair"))
        self.assertEqual(state["StreamState"], "online")
        online = self.send(DescribeLiveStreamsOnlineListRequest(), DomainName="play.example.com")
        self.assertEqual(len(online["OnlineInfo"]["LiveStreamOnlineInfo"]), 1)

    def test_refusals(self):
        # This client compares the string that the server says it signed with its own, and blames the
        # secret only when the two are the same.
        for key, secret, code in [
            ("full-key", "wrong", "InvalidAccessKeySecret"),
            ("nobody", "full-secret", "InvalidAccessKeyId.NotFound"),
        ]:
            with self.assertRaises(ServerException) as caught:
                self.send(DescribeLiveStreamStateRequest(), key, secret, **self.named("a"))
            self.assertEqual(caught.exception.get_error_code(), code)


if __name__ == "__main__":
    unittest.main()
