"""wangsu-sdk-python against the simulated Wangsu."""

import json
import time
import unittest

import boxes
from wangsu.common.auth.AkSkAuth import AkSkAuth
from wangsu.common.auth.AkSkConfig import AkSkConfig
from wangsu.common.Constant.Constant import Constant
from wangsu.streamforbid import models

# The client speaks nothing but https to whatever end point it is given.
Constant.HTTPS_REQUEST_PREFIX = "http://"

URL = "rtmp://push.example.com/live/{}"


def call(path, request, key="full-key", secret="full-secret"):
    config = AkSkConfig()
    config.access_key = key
    config.secret_key = secret
    config.end_point = boxes.api("ws")
    config.uri = path
    config.method = "POST"
    return json.loads(AkSkAuth.invoke(config, json.dumps(request.to_map())))


def forbid(name, **fields):
    keys = {key: fields.pop(key) for key in ("key", "secret") if key in fields}
    request = models.ForbidLivestreamingRequest()
    request.from_map({"liveUrl": URL.format(name), "type": "publish", **fields})
    return call("/api/live/forbid", request, **keys)


class Wangsu(unittest.TestCase):
    def test_ban_list_and_resume(self):
        answer = models.ForbidLivestreamingResponse().from_map(forbid("sdk-a", reltime="3600"))
        self.assertEqual((answer.code, answer.message), ("00", "success append purge tasks"))
        query = models.QueryForbidLivestreamRecordRequest().from_map(
            {"channel": "push.example.com", "url": URL.format("sdk-a")}
        )
        listed = models.QueryForbidLivestreamRecordResponse().from_map(
            call("/cm/stream/forbidQuery", query)
        )
        self.assertEqual(listed.code, "00")
        (row,) = listed.result_detail
        self.assertEqual(row.url, URL.format("sdk-a"))
        self.assertAlmostEqual(int(row.end_time), time.time() + 3600, delta=60)
        request = models.ResumeLivestreamingRequest().from_map(
            {"liveUrl": URL.format("sdk-a"), "type": "publish"}
        )
        answer = models.ResumeLivestreamingResponse().from_map(call("/api/live/resume", request))
        self.assertEqual(answer.code, "00")
        self.assertNotIn("sdk-a", boxes.bans("ws"))

    def test_stop_bans_nothing(self):
        request = models.StopLivestreamingRequest().from_map(
            {"liveUrl": URL.format("sdk-b"), "type": "publish"}
        )
        answer = models.StopLivestreamingResponse().from_map(call("/api/live/stop", request))
        self.assertEqual(answer.code, "00")
        self.assertEqual(boxes.last("ws")["operation"], "kick")
        self.assertNotIn("sdk-b", boxes.bans("ws"))

    def test_refusals(self):
        self.assertEqual(forbid("sdk-c", secret="wrong")["message"], "the signature is incorrect")
        self.assertEqual(forbid("sdk-c", key="nobody")["code"], "401")
        refused = forbid("sdk-c", key="reader-key", secret="reader-secret")
        self.assertEqual(refused["code"], "6")
        elsewhere = models.ForbidLivestreamingRequest().from_map(
            {"liveUrl": "rtmp://other.example.com/live/a"}
        )
        self.assertEqual(call("/api/live/forbid", elsewhere)["code"], "28")
        boxes.fault("ws", kind="quota-spent")
        self.assertEqual(forbid("sdk-c")["code"], "quotaExceeded")
        self.assertNotIn("sdk-c", boxes.bans("ws"))

    def test_the_same_signature_twice_is_a_replay(self):
        # Start right after a full second, so that both calls carry the same timestamp.
        time.sleep(1 - time.time() % 1)
        first, second = forbid("sdk-d"), forbid("sdk-d")
        self.assertEqual(first["code"], "00")
        self.assertEqual(second["message"], "the signature has been used")


if __name__ == "__main__":
    unittest.main()
