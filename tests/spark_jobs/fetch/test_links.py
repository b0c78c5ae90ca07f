import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.links import LinkRefused, host_of, parse_link, parse_redirect


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("https://shop.example/a.jpg", "https://shop.example/a.jpg"),
        ("  https://shop.example/a.jpg\n", "https://shop.example/a.jpg"),
        ("//cdn.shop.example/a.jpg", "https://cdn.shop.example/a.jpg"),
        ("www.shop.example/a.jpg", "https://www.shop.example/a.jpg"),
        ("https://shop.example/shop/../img/./a.jpg?sig=a%2Fb", "https://shop.example/img/a.jpg?sig=a%2Fb"),
        ("https://shop.example/.well-known/a..jpg", "https://shop.example/.well-known/a..jpg"),
        ("https://shop.example/red shirt.jpg", "https://shop.example/red%20shirt.jpg"),
        ("https://shop.example/é.jpg", "https://shop.example/%C3%A9.jpg"),
        ("https://münchen.example/a.jpg", "https://xn--mnchen-3ya.example/a.jpg"),
        ("HTTPS://Shop.Example/A.jpg", "https://shop.example/A.jpg"),
        ("https://shop.example/a.jpg#zoom", "https://shop.example/a.jpg"),
        ("https://shop.example/a.jpg?sig=a%2Fb%3D&x=1+2", "https://shop.example/a.jpg?sig=a%2Fb%3D&x=1+2"),
    ],
)
def test_a_link_is_asked_as_the_catalog_meant_it(text: str, asked: str) -> None:
    assert str(parse_link(text).url) == asked


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", FetchReason.BAD_URL),
        ("images/a.jpg", FetchReason.BAD_URL),
        ("https://", FetchReason.BAD_URL),
        ("https:///a.jpg", FetchReason.BAD_URL),
        ("http://shop.example:99999/a.jpg", FetchReason.BAD_URL),
        ("http://shop..example/a.jpg", FetchReason.BAD_URL),
        ("http://[::1/a.jpg", FetchReason.BAD_URL),
        (f"http://{'a' * 300}.example/", FetchReason.BAD_URL),
        (f"https://shop.example/{'a' * 9000}", FetchReason.BAD_URL),
        ("s3://bucket-only", FetchReason.BAD_URL),
        ("file://other-machine/a.jpg", FetchReason.BAD_URL),
        ("s3://[bucket/a.jpg", FetchReason.BAD_URL),
        ("s3://buck\u2100t/a.jpg", FetchReason.BAD_URL),
        ("file://[shop/a.jpg", FetchReason.BAD_URL),
        ("ftp://shop.example/a.jpg", FetchReason.SCHEME_REFUSED),
        ("data:image/png;base64,AAAA", FetchReason.SCHEME_REFUSED),
        ("javascript:alert(1)", FetchReason.SCHEME_REFUSED),
    ],
)
def test_a_link_that_cannot_be_asked_says_why(text: str, reason: FetchReason) -> None:
    with pytest.raises(LinkRefused) as refused:
        parse_link(text)
    assert refused.value.reason == reason


def test_files_and_objects_are_named_by_their_path() -> None:
    assert parse_link("file:///photos/a%20b.jpg").path == "/photos/a b.jpg"
    assert parse_link("file:///photos/what?.jpg").path == "/photos/what?.jpg"
    assert parse_link("/photos/a.jpg").scheme == "file"
    linked = parse_link("s3://bucket/folder/a.jpg")
    assert (linked.host, linked.path) == ("s3/bucket", "folder/a.jpg")


def test_limits_are_counted_by_the_name_of_a_host_whatever_its_port_and_case() -> None:
    links = ("http://Shop.Example:8080/a", "https://shop.example./b", "//shop.example/c", "http://u:p@shop.example/d")
    assert {host_of(text) for text in links} == {"shop.example"}
    assert host_of("no link at all") == ""


@pytest.mark.parametrize(
    ("base", "location", "target"),
    [
        ("http://shop.example/a/b.jpg", "../c.jpg", "http://shop.example/c.jpg"),
        ("http://shop.example/a.jpg", "//cdn.example/c.jpg", "http://cdn.example/c.jpg"),
        ("http://shop.example/a.jpg", "https://shop.example/a.jpg", "https://shop.example/a.jpg"),
        ("http://u:p@shop.example/a.jpg", "http://v:q@cdn.example/a.jpg", "http://cdn.example/a.jpg"),
        ("http://u:p@shop.example/a.jpg", "/b.jpg", "http://shop.example/b.jpg"),
    ],
)
def test_a_redirect_goes_where_it_says_without_credentials(base: str, location: str, target: str) -> None:
    assert str(parse_redirect(parse_link(base), location).url) == target


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("", FetchReason.REDIRECT_INVALID),
        ("http://[::1/", FetchReason.REDIRECT_INVALID),
        ("https://shop.example:99999/a.jpg", FetchReason.REDIRECT_INVALID),
        ("http://shop.example/a.jpg", FetchReason.SCHEME_REFUSED),  # back from https
        ("file:///etc/passwd", FetchReason.SCHEME_REFUSED),
        ("gopher://shop.example/", FetchReason.SCHEME_REFUSED),
    ],
)
def test_a_redirect_to_where_it_must_not_go_is_refused(location: str, reason: FetchReason) -> None:
    with pytest.raises(LinkRefused) as refused:
        parse_redirect(parse_link("https://shop.example/a.jpg"), location)
    assert refused.value.reason == reason
