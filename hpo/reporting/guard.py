"""Who may use the dashboard: whoever started it, from a page of its own.

optuna-dashboard answers anyone who reaches its port. A page on the Internet reaches it too: by a name that it lets
resolve to 127.0.0.1 (DNS rebinding; such a request names a foreign host), or by a form that posts to it (cross-site
request forgery; such a request names a foreign origin). Other users of the machine reach it at any time; they do not
know the token in the address that was printed.
"""

import hmac
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

App = Callable[[Any, Any], Iterable[bytes]]
NAMES = ("127.0.0.1", "localhost")
READING = ("GET", "HEAD")


def guarded(app: App, port: int, token: str, changes: bool) -> App:
    """The same for those alone who may use it; others get 403 and a line that says why.

    Args:
        app: by WSGI (PEP 3333).
        port: that it is served on.
        token: that the first address must have as `?token=`; it is kept in a cookie from then on.
        changes: whether requests may change anything.
    """
    hosts = {f"{name}:{port}" for name in NAMES}
    cookie = f"keras-hpo-{port}"  # cookies know no ports, and two dashboards may be open

    def answer(environ: Any, start: Any) -> Iterable[bytes]:
        host, method = environ.get("HTTP_HOST", ""), environ["REQUEST_METHOD"]
        if host not in hosts:
            return _refuse(start, f"the dashboard answers to http://{NAMES[0]}:{port} alone")
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        if method == "GET" and _same(query.pop("token", ""), token):
            target = environ.get("PATH_INFO") or "/"
            place = "/" + target.lstrip("/") + (f"?{urlencode(query)}" if query else "")  # never //host
            held = f"{cookie}={token}; Path=/; HttpOnly; SameSite=Strict"
            start("302 Found", [("Location", place), ("Set-Cookie", held), ("Content-Length", "0")])
            return []
        if not _same(_cookie(environ, cookie), token):
            return _refuse(start, "open the address that the command printed, with its token")
        if method not in READING:
            if not changes:
                return _refuse(start, "the database itself is for reading here; --allow-changes lets it be changed")
            if environ.get("HTTP_ORIGIN", "").removeprefix("http://") not in hosts:
                return _refuse(start, "changes are made from the dashboard's own pages alone")
        return app(environ, start)

    return answer


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie(environ: Any, name: str) -> str:
    try:
        found = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _refuse(start: Any, why: str) -> Iterable[bytes]:
    body = f"{why}\n".encode()
    start("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
