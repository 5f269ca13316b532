import pytest

from serve.errors import Problem
from serve.fetch.location import located, parse_hosts

HOSTS = parse_hosts("cdn.example.com, IMG.example.com:8443")


def test_address_of_a_named_host_is_taken_apart():
    found = located("https://CDN.example.com./a%20b/c.jpg?w=1&h=2#x", hosts=HOSTS, allow_http=False)
    assert (found.scheme, found.host, found.port) == ("https", "cdn.example.com", 443)
    assert found.target == "/a%20b/c.jpg?w=1&h=2"
    assert located("https://img.example.com:8443/x", hosts=HOSTS, allow_http=False).port == 8443
    assert located("http://cdn.example.com/x", hosts=HOSTS, allow_http=True).port == 80


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://cdn.example.com/x", "must begin with https://"),
        ("file:///etc/passwd", "must begin"),
        ("gopher://cdn.example.com/x", "must begin"),
        ("//cdn.example.com/x", "must begin"),
        ("https:///x", "name a host"),
        ("", "printable"),
        ("https://cdn.example.com/" + "x" * 3000, "at most 2048"),
        ("https://cdn.example.com/\r\nHost: inside", "printable"),
        ("https://cdn.example.com\\@evil.example/", "printable"),
        ("https://cdn.exämple.com/", "printable"),
        ("https://user:pass@cdn.example.com/", "no user name"),
        ("https://cdn.example.com@127.0.0.1/", "no user name"),
        ("https://evil.example/", "not among those"),
        ("https://cdn.example.com:8443/", "not among those"),
        ("https://cdn.example.com:22/", "not among those"),
        ("https://img.example.com/", "not among those"),
        ("https://cdn.example.com.evil.example/", "not among those"),
        ("https://xcdn.example.com/", "not among those"),
        ("https://127.0.0.1/", "not among those"),
        ("https://[::1]/", "not among those"),
        ("https://2130706433/", "not among those"),
        ("https://cdn.example.com:99999/", "no URL|not among"),
        ("https://[::1/", "no URL|not among"),
    ],
)
def test_other_addresses_are_refused_in_words(url, words):
    with pytest.raises(Problem, match=words) as refused:
        located(url, hosts=HOSTS, allow_http=False)
    assert (refused.value.status, refused.value.kind) == (422, "image-url-refused")


def test_no_host_is_allowed_where_none_is_named():
    assert parse_hosts(" , ") == frozenset()
    with pytest.raises(Problem):
        located("https://cdn.example.com/", hosts=parse_hosts(""), allow_http=True)
