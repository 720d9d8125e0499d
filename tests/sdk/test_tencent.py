"""tencentcloud-sdk-python-live against the simulated Tencent Cloud CSS."""

import unittest

import boxes
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.live.v20180801 import live_client, models

PUSH = {"AppName": "live", "DomainName": "push.example.com"}


def client(key="full-key", secret="full-secret", token=None, method="POST"):
    http = HttpProfile(protocol="http", endpoint=boxes.api("tencent"), reqMethod=method)
    return live_client.LiveClient(Credential(key, secret, token), "", ClientProfile(httpProfile=http))


def filled(kind, **fields):
    request = kind()
    request._deserialize({**PUSH, **fields})
    return request


def forbid(by, name, **fields):
    return by.ForbidLiveStream(filled(models.ForbidLiveStreamRequest, StreamName=name, **fields))


class Tencent(unittest.TestCase):
    def refused(self, code, act, *args, **more):
        with self.assertRaises(TencentCloudSDKException) as caught:
            act(*args, **more)
        self.assertEqual(caught.exception.code, code)

    def test_every_operation(self):
        mine = client()
        name = "sdk 直播 a+b"
        answer = forbid(mine, name, Reason="违规", ResumeTime=boxes.ENDS)
        self.assertEqual(len(answer.RequestId), 36)
        forbid(mine, name)
        state = filled(models.DescribeLiveStreamStateRequest, StreamName=name)
        self.assertEqual(mine.DescribeLiveStreamState(state).StreamState, "forbid")
        listed = mine.call_json("DescribeLiveForbidStreamList", {"PageNum": 1, "PageSize": 100})
        rows = listed["Response"]["ForbidStreamList"]
        self.assertIn(name, [row["StreamName"] for row in rows])
        mine.ResumeLiveStream(filled(models.ResumeLiveStreamRequest, StreamName=name))
        self.assertEqual(mine.DescribeLiveStreamState(state).StreamState, "inactive")
        mine.DropLiveStream(filled(models.DropLiveStreamRequest, StreamName="onair"))
        self.assertEqual(boxes.last("tencent")["operation"], "kick")
        state = filled(models.DescribeLiveStreamStateRequest, StreamName="onair")
        self.assertEqual(mine.DescribeLiveStreamState(state).StreamState, "active")
        online = filled(models.DescribeLiveStreamOnlineListRequest, PageNum=1, PageSize=100)
        answer = mine.DescribeLiveStreamOnlineList(online)
        self.assertEqual(answer.TotalNum, 1)
        self.assertEqual(answer.OnlineInfo[0].StreamName, "onair")
        self.assertEqual(answer.OnlineInfo[0].PublishTimeList[0].PublishTime, "2026-03-05T08:09:10Z")

    def test_get_and_temporary_credentials(self):
        forbid(client(method="GET"), "sdk get +*", Reason="two words")
        self.assertIn("sdk get +*", boxes.bans("tencent"))
        forbid(client("sts-key", "sts-secret", "sts/token+=="), "sdk-sts")
        bad = client("sts-key", "sts-secret", "other")
        self.refused("AuthFailure.TokenFailure", forbid, bad, "sdk-sts")

    def test_refusals(self):
        mine = client()
        self.refused("AuthFailure.SignatureFailure", forbid, client(secret="wrong"), "sdk-c")
        self.refused("AuthFailure.SecretIdNotFound", forbid, client("nobody"), "sdk-c")
        reader = client("reader-key", "reader-secret")
        self.refused("AuthFailure.UnauthorizedOperation", forbid, reader, "sdk-c")
        self.refused(
            "InternalError.ConfigNotExist", forbid, mine, "sdk-c", DomainName="other.example.com"
        )
        self.refused(
            "InvalidParameterValue", forbid, mine, "sdk-c", ResumeTime="2020-01-01T00:00:00Z"
        )
        for fault, code in [
            ({"kind": "throttle"}, "RequestLimitExceeded"),
            ({"kind": "wrong-clock", "seconds": 400}, "AuthFailure.SignatureExpire"),
            ({"kind": "expired-key"}, "AuthFailure.SecretIdNotFound"),
            ({"kind": "server-error", "status": 502}, "ServerNetworkError"),
        ]:
            boxes.fault("tencent", **fault)
            self.refused(code, forbid, mine, "sdk-c")
        self.assertNotIn("sdk-c", boxes.bans("tencent"))

    def test_a_lost_answer_left_its_effect(self):
        boxes.fault("tencent", kind="drop-after")
        with self.assertRaises(TencentCloudSDKException):
            forbid(client(), "sdk-lost")
        self.assertIn("sdk-lost", boxes.bans("tencent"))


if __name__ == "__main__":
    unittest.main()
