"""huaweicloudsdklive against the simulated Huawei Cloud Live."""

import datetime
import unittest

import boxes
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, ServiceResponseException
from huaweicloudsdklive.v1 import LiveClient, model

PUSH = {"domain": "push.example.com", "app_name": "live"}


def client(key="full-key", secret="full-secret", project=boxes.PROJECT, token=None):
    held = BasicCredentials(key, secret, project)
    if token:
        held = held.with_security_token(token)
    endpoint = f"http://{boxes.api('huawei')}"
    return LiveClient.new_builder().with_credentials(held).with_endpoint(endpoint).build()


def soon(days):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def forbid(by, name, **fields):
    body = model.StreamForbiddenSetting(**{**PUSH, "stream_name": name, **fields})
    return by.create_stream_forbidden(model.CreateStreamForbiddenRequest(body=body))


def listed(by, name, domain="push.example.com"):
    request = model.ListStreamForbiddenRequest(domain=domain, stream_name=name, page=0, size=100)
    return by.list_stream_forbidden(request)


class Huawei(unittest.TestCase):
    def refused(self, code, act, *args, **more):
        with self.assertRaises(ServiceResponseException) as caught:
            act(*args, **more)
        self.assertEqual(caught.exception.error_code, code, caught.exception)
        return caught.exception

    def test_every_operation(self):
        mine = client()
        name = "sdk a+b*~ 直播"
        self.assertEqual(forbid(mine, name, resume_time=soon(1)).status_code, 204)
        self.refused("LIVE.103011018", forbid, mine, name, resume_time=soon(2))
        end = soon(2)
        body = model.StreamForbiddenSetting(stream_name=name, resume_time=end, **PUSH)
        changed = mine.update_stream_forbidden(model.UpdateStreamForbiddenRequest(body=body))
        self.assertEqual(changed.status_code, 204)
        answer = listed(mine, name)
        self.assertEqual(answer.total, 1)
        self.assertEqual(answer.blocks[0].stream_name, name)
        self.assertIn(end[:10], str(answer.blocks[0].resume_time))
        request = model.DeleteStreamForbiddenRequest(stream_name=name, **PUSH)
        self.assertEqual(mine.delete_stream_forbidden(request).status_code, 204)
        self.assertEqual(listed(mine, name).total, 0)
        once = model.CreateStreamForbiddenOnceRequest(
            body=model.StreamForbiddenOnceSetting(stream_name="onair", **PUSH)
        )
        self.assertEqual(mine.create_stream_forbidden_once(once).status_code, 204)
        self.assertEqual(boxes.last("huawei")["operation"], "kick")
        request = model.ListLiveStreamsOnlineRequest(publish_domain="push.example.com", limit=100)
        online = mine.list_live_streams_online(request)
        self.assertEqual(online.total_num, 1)
        self.assertEqual(online.streams[0].stream, "onair")

    def test_temporary_credentials(self):
        good = client("sts-key", "sts-secret", token="sts/token+==")
        self.assertEqual(forbid(good, "sdk-sts").status_code, 204)
        bad = client("sts-key", "sts-secret", token="other")
        self.refused("APIGW.0301", forbid, bad, "sdk-sts")

    def test_refusals(self):
        mine = client()
        wrong = self.refused("APIGW.0301", forbid, client(secret="wrong"), "sdk-c")
        self.assertIsInstance(wrong, ClientRequestException)
        self.assertEqual(wrong.status_code, 401)
        self.assertIn("signature", wrong.error_msg)
        self.refused("APIGW.0301", forbid, client("nobody"), "sdk-c")
        reader = client("reader-key", "reader-secret")
        self.refused("LIVE.100011003", forbid, reader, "sdk-c")
        self.refused("LIVE.100011003", forbid, client(project="f" * 32), "sdk-c")
        self.refused("LIVE.100011001", forbid, mine, "*")
        self.refused("LIVE.100011001", forbid, mine, "sdk-c", resume_time=soon(91))
        self.refused("LIVE.103011019", listed, mine, "a", domain="other.example.com")
        for fault, code in [
            ({"kind": "throttle"}, "APIGW.0308"),
            ({"kind": "wrong-clock", "seconds": 1000}, "APIGW.0303"),
            ({"kind": "server-error", "status": 500}, "LIVE.103011021"),
        ]:
            boxes.fault("huawei", **fault)
            self.refused(code, forbid, mine, "sdk-c")
        self.assertNotIn("sdk-c", boxes.bans("huawei"))


if __name__ == "__main__":
    unittest.main()
