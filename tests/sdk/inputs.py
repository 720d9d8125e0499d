"""Inputs for the clients, the same in every run: texts that are hard to encode, credentials,
clocks near the ends of days and years."""

import datetime
import random
import string

WORDS = string.ascii_letters + string.digits
GRAPHIC = "".join(map(chr, range(0x21, 0x7F)))
HARD = [
    *" +/~*%&=?#'\"()!@,;:[]{}<>|\\^`$-_.",
    *"直播间한국어éßñЖ日本Ωשלום",
    "\U0001f600",
    "e\u0301",
    "\u200d",
    "\ufeff",
    "\t",
    "\n",
    "%2F",
    "%zz",
    "%",
    "..",
    "//",
    "+ ",
    "~~",
    "**",
    "&a=b",
    "\\u76f4",
    "=",
]
# Whole texts that stand for themselves.
PLAIN = ["", " ", "0", "null", "true", "*", "~", ".", "a" * 300, " both ends ", "直" * 90]


class Inputs:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *choices):
        return self.random.choice(choices)

    def of(self, alphabet, least, most):
        length = self.random.randint(least, most)
        return "".join(self.random.choices(alphabet, k=length))

    def text(self):
        """Anything that a parameter may hold."""
        if self.random.random() < 0.08:
            return self.random.choice(PLAIN)
        parts = self.random.randint(1, 8)
        return "".join(
            self.random.choice(HARD) if self.random.random() < 0.5 else self.of(WORDS, 1, 6)
            for _ in range(parts)
        )

    def stream(self):
        """A stream id as Tidegate takes it."""
        return self.of(WORDS + "_-", 1, self.pick(3, 20, 256))

    def app(self):
        """An RTMP app name as Tidegate takes it: without control characters and / ? #."""
        text = "".join(c for c in self.text()[:128] if c not in "/?#\t\n")
        return "live" if text in ("", "*") else text

    def domain(self):
        return ".".join(self.of(WORDS[:26] + "0123456789", 1, 12) for _ in range(2)) + ".com"

    def key(self):
        """Graphic ASCII without , : and /, which every scheme gives a meaning."""
        return self.of([c for c in GRAPHIC if c not in ",:/"], 1, 60)

    def secret(self):
        return self.of(GRAPHIC, 1, 80)

    def any_secret(self):
        """Also such as no vendor would issue."""
        return self.pick(self.secret(), self.text().strip() or "s", "s" * 200)

    def token(self):
        """Of temporary credentials; none most of the time."""
        return self.pick(None, None, self.of(WORDS + "+/=", 1, 900))

    def nonce(self):
        return self.of("0123456789abcdef", 32, 32)

    def clock(self):
        """Unix seconds from 2001 to 2099, many around midnight, New Year and leap days, and in the
        hours when it is tomorrow in Beijing."""
        day = datetime.datetime(2001, 9, 9, tzinfo=datetime.timezone.utc)
        day += datetime.timedelta(days=self.random.randrange(35_000))
        if self.random.random() < 0.2:
            month, date = self.pick((1, 1), (12, 31), (2, 28), (3, 1))
            day = day.replace(month=month, day=date)
        seconds = self.pick(0, 1, 57_599, 57_600, 86_399, self.random.randrange(86_400))
        return int(day.replace(hour=0, minute=0, second=0).timestamp()) + seconds

    def until(self, clock):
        """An end after `clock`, in whole seconds."""
        return clock + self.pick(1, 60, 86_400, self.random.randrange(1, 90 * 86_400))


def utc(seconds):
    """As Alibaba Cloud, Tencent and Huawei write time."""
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
