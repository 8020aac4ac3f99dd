"""Signatures are botocore's, byte for byte."""

from __future__ import annotations

import datetime as dt
import hashlib
import string
from unittest import mock
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_exec.errors import CannotOpenChannel
from ecs_exec.signing import Credentials, Request, sign
from ecs_exec.transport import stream_url

_WORDS = st.text(string.ascii_letters + string.digits + "-._~%/:@!$'()*,;? \tü€日+", max_size=12)
_SEGMENTS = st.text(string.ascii_letters + string.digits + "-._~%:@!$'()*+,; ü€", max_size=12)
_TOKENS = st.text(string.ascii_letters + string.digits + "+/=%&; ", max_size=120).map(str.strip)
_KEYS = st.text(string.ascii_letters + string.digits + "+/", min_size=1, max_size=40)
_TIMES = st.integers(946684800, 4102444799).map(lambda at: dt.datetime.fromtimestamp(at, dt.timezone.utc))
_CREDENTIALS = st.builds(Credentials, _KEYS, _KEYS, _TOKENS)
_REGIONS = st.sampled_from(["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1"])


@st.composite
def _queries(draw: st.DrawFn) -> str:
    """Draw a query string: names with and without values, encoded, not encoded, repeated, empty."""
    pairs = draw(st.lists(st.tuples(_WORDS, st.none() | _WORDS), max_size=5))
    again, encoded = draw(st.tuples(st.booleans(), st.booleans()))
    if pairs and again:
        pairs.append(pairs[0])
    texts = []
    for name, value in pairs:
        shown = quote(name, safe="") if encoded else name.replace("%", "%25")
        worth = None if value is None else quote(value, safe="") if encoded else value.replace("%", "%25")
        texts.append(shown if worth is None else f"{shown}={worth}")
    return "&".join(texts).replace("\t", "%09").replace("#", "")


@st.composite
def _urls(draw: st.DrawFn) -> str:
    """Draw a stream URL."""
    scheme = draw(st.sampled_from(["ws", "wss"]))
    host = draw(st.sampled_from(["ssmmessages.eu-west-1.amazonaws.com", "127.0.0.1", "[::1]", "vpce-1a2b.example"]))
    port = draw(st.sampled_from(["", ":443", ":80", ":8443"]))
    path = "".join(f"/{segment}" for segment in draw(st.lists(_SEGMENTS, max_size=4)))
    query = draw(_queries())
    return f"{scheme}://{host}{port}{path}{'?' * bool(query)}{query}"


def _by_botocore(
    request: AWSRequest, credentials: Credentials, service: str, region: str, when: dt.datetime
) -> dict[str, str]:
    """Sign a request with botocore at a time, and return what that has put into its headers."""
    theirs = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.token or None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=when):
        SigV4Auth(theirs, service, region).add_auth(request)
    names = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
    return {name: request.headers[name] for name in names if name in request.headers}


@settings(max_examples=200)
@given(_urls(), _CREDENTIALS, _TIMES, _REGIONS)
def test_the_signature_of_a_stream_url(url: str, credentials: Credentials, when: dt.datetime, region: str) -> None:
    """Signatures of any stream URL, as sent, are the same. The sent URL has only one reading for the verifier."""
    place = stream_url.parse(url)
    request = Request("GET", place.path, place.query[1:], {"Host": place.host_header})
    ours = sign(request, credentials, region, "ssmmessages", when.strftime("%Y%m%dT%H%M%SZ"))
    sent = f"https://{place.host_header}{place.path}{place.query}"
    theirs = AWSRequest("GET", sent, headers={"Host": place.host_header})
    assert ours == _by_botocore(theirs, credentials, "ssmmessages", region, when)


@settings(max_examples=50)
@given(st.dictionaries(st.text("abcxyz-", min_size=1), st.text(string.printable[:95]), max_size=4), _TIMES)
def test_the_signature_of_any_request(headers: dict[str, str], when: dt.datetime) -> None:
    """With a body and headers of all kinds, those that are never signed among them."""
    body = b'{"cluster": "c"}'
    given_headers = {
        "Host": "ecs.eu-west-1.amazonaws.com",
        "User-Agent": "any",
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ExecuteCommand",
        **{f"x-{name}": value for name, value in headers.items()},
    }
    request = Request("POST", "/", "", given_headers, hashlib.sha256(body).hexdigest())
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "secret", "a token+/=")
    ours = sign(request, credentials, "eu-west-1", "ecs", when.strftime("%Y%m%dT%H%M%SZ"))
    theirs = AWSRequest("POST", "https://ecs.eu-west-1.amazonaws.com/", headers=given_headers, data=body)
    assert ours == _by_botocore(theirs, credentials, "ecs", "eu-west-1", when)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://host/x",
        "wss:///x",
        "wss://host:x/",
        "wss://host:0/",
        "wss://user:secret@host/",
        "wss://host/x#secret",
        "wss://host/secret\r\nX: y",
        "wss://host/?X-Amz-Signature=secret value",
        "wss://host/?X-Amz-Signature=secr\u00e9t",
    ],
)
def test_what_is_no_stream_url_is_not_quoted(url: str) -> None:
    """It may be a secret, or hold what would end a request line."""
    with pytest.raises(CannotOpenChannel) as caught:
        stream_url.parse(url)
    assert str(caught.value) == "the session's stream URL is not a websocket URL [not-aws]"


@pytest.mark.parametrize(
    "rest", ["/a//b/../c;d?X-Amz-Signature=%2f%2F&a=+&&b", "?X-Amz-Date=1", "/?x=/&X-Amz-Expires=", "/x?X-Amz-Date&"]
)
def test_a_presigned_url_is_kept(rest: str) -> None:
    """The URL is the same byte for byte, except a slash if it has no path."""
    place = stream_url.parse(f"wss://ssmmessages.eu-west-1.amazonaws.com{rest}")
    assert place.presigned
    assert place.path + place.query == (rest if rest.startswith("/") else f"/{rest}")
    assert "Signature" not in repr(place)
