"""Who may use the dashboard."""

import pytest

from hpo.reporting.guard import guarded

HELD = {"HTTP_COOKIE": "other=1; keras-hpo-8080=secret"}


def ask(changes=True, **environ):
    """Status, headers and body of a request that is right, but for what is given."""
    told = []
    app = guarded(lambda environ, start: start("200 OK", []) or [b"shown"], 8080, "secret", changes)
    right = {"REQUEST_METHOD": "GET", "HTTP_HOST": "127.0.0.1:8080", "PATH_INFO": "/dashboard", "QUERY_STRING": ""}
    body = b"".join(app({**right, **environ}, lambda *answer: told.extend(answer)))
    return told[0][:3], dict(told[1]), body.decode().strip()


def test_the_printed_address_leaves_a_cookie_and_goes_on_without_the_token():
    status, headers, _ = ask(QUERY_STRING="a=1&token=secret&b=%26")
    assert (status, headers["Location"]) == ("302", "/dashboard?a=1&b=%26")
    assert headers["Set-Cookie"] == "keras-hpo-8080=secret; Path=/; HttpOnly; SameSite=Strict"
    assert ask(**HELD)[0] == "200"
    assert ask(**HELD, HTTP_HOST="localhost:8080")[2] == "shown"


def test_it_leads_to_no_other_host():
    assert ask(QUERY_STRING="token=secret", PATH_INFO="//evil.example/x")[1]["Location"] == "/evil.example/x"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_COOKIE": "keras-hpo-8080=guess"},
        {"HTTP_COOKIE": "keras-hpo-8081=secret"},
        {"HTTP_COOKIE": ";;=\x01"},
        {"QUERY_STRING": "token=guess"},
        {"QUERY_STRING": "token="},
        {"QUERY_STRING": "token=secret", "REQUEST_METHOD": "POST"},
    ],
)
def test_without_the_token_nothing_is_shown(environ):
    status, _, body = ask(**environ)
    assert (status, body) == ("403", "open the address that the command printed, with its token")


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1", "127.0.0.1:80", "", "localhost:8080.evil.example"])
@pytest.mark.parametrize("more", [HELD, {"QUERY_STRING": "token=secret"}])
def test_another_host_is_refused_whatever_it_brings(host, more):
    """By DNS rebinding a foreign page is of the same site: it would bring the cookie."""
    status, _, body = ask(**more, HTTP_HOST=host)
    assert (status, body) == ("403", "the dashboard answers to http://127.0.0.1:8080 alone")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_changes_come_from_its_own_pages(method):
    for origin in ("http://127.0.0.1:8080", "http://localhost:8080"):
        assert ask(**HELD, REQUEST_METHOD=method, HTTP_ORIGIN=origin)[0] == "200"
    for other in ({}, {"HTTP_ORIGIN": "http://evil.example"}, {"HTTP_ORIGIN": "null"}, {"HTTP_ORIGIN": ""}):
        assert ask(**HELD, REQUEST_METHOD=method, **other)[2] == "changes are made from the dashboard's own pages alone"


def test_what_is_for_reading_is_not_changed():
    said = "the database itself is for reading here; --allow-changes lets it be changed"
    own = {"HTTP_ORIGIN": "http://127.0.0.1:8080"}
    assert ask(changes=False, **HELD, REQUEST_METHOD="DELETE", **own)[2] == said
    assert ask(changes=False, **HELD)[0] == "200"
