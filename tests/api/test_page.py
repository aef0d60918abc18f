"""The page's documents and files, as a browser fetches them; how it looks and works is in tests/browser."""

import gzip
import hashlib
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

import service.api.page
from service.api.app import create_app
from service.settings import Settings
from tests.api.conftest import ServeOn, serve

PAGE = Path(service.api.page.__file__).parent
DOCUMENTS = ["/", "/objects/ztf:ZTF21abiuvdk"]
NOWHERE = "redis://127.0.0.1:1/0"

REFERENCE = re.compile(r"""(?:src|href)="(/static/[^"]+)\"""")
ELSEWHERE = re.compile(r"""(?:\bsrc|\bhref|\burl|\bimport|\bfrom)[\s=(]*["']?(?:https?:)?//""")


def files_of(document: str) -> list[str]:
    return REFERENCE.findall(document)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_file_a_document_names_is_served_with_its_type(client: httpx.Client, path: str) -> None:
    named = files_of(client.get(path).text)
    assert len(named) >= 4
    for name in named:
        response = client.get(name)
        assert response.status_code == 200, name
        kind = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}[Path(name).suffix]
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["x-content-type-options"] == "nosniff"


def test_every_module_imported_is_there() -> None:
    modules = sorted((PAGE / "static").glob("*.js"))
    for module in modules:
        for name in re.findall(r'from "\./([^"]+)"', module.read_text(encoding="utf-8")):
            assert (PAGE / "static" / name).exists(), f"{module.name} imports {name}"
    assert len(modules) > 5


@pytest.mark.parametrize("path", DOCUMENTS)
def test_nothing_comes_from_elsewhere(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert not ELSEWHERE.search(response.text)
    # A policy without exceptions forbids all of these.
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=", response.text)


def test_files_are_kept_for_ever_under_their_own_version_only(
    client: httpx.Client,
) -> None:
    name = next(name for name in files_of(client.get("/").text) if name.endswith("/live.js"))
    assert "immutable" in client.get(name).headers["cache-control"]
    version = name.split("/")[2]
    other = client.get(name.replace(version, "0123456789ab"))
    assert other.status_code == 200
    assert other.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", [*DOCUMENTS, "/static/x/live.js"])
def test_what_a_browser_has_is_not_sent_again(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    for known in (first.headers["etag"], f"W/{first.headers['etag']}", f'"x", {first.headers["etag"]}'):
        again = client.get(path, headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.content == b""
    assert client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200


def test_files_are_sent_compressed_to_those_who_can_read_it(client: httpx.Client) -> None:
    plain = client.get("/static/x/vendor/uPlot.iife.min.js", headers={"Accept-Encoding": "identity"})
    with client.stream(
        "GET", "/static/x/vendor/uPlot.iife.min.js", headers={"Accept-Encoding": "gzip"}
    ) as response:
        sent = b"".join(response.iter_raw())
    assert gzip.decompress(sent) == plain.content == (PAGE / "vendor/uPlot.iife.min.js").read_bytes()
    assert len(sent) < len(plain.content) / 2


@pytest.mark.parametrize(
    "path", ["nothing.js", "%2e%2e/routes.py", "live.html", "vendor/README.md", "vendor/"]
)
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    response = client.get(f"/static/x/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_brokers_and_topic_are_told_to_the_page_as_text(app: FastAPI) -> None:
    settings = Settings(public_brokers='a:1"><script>', output_topic="results")
    with serve(create_app(settings, app.state.context.store, {})) as client:
        html = client.get("/").text
    assert 'data-brokers="a:1&quot;&gt;&lt;script&gt;" data-topic="results" data-access="open"' in html


def test_page_is_told_whether_to_ask_for_a_token_and_not_which(app: FastAPI) -> None:
    settings = Settings(api_read_tokens=SecretStr("reader"))
    with serve(create_app(settings, app.state.context.store, {})) as client:
        for path in DOCUMENTS:
            html = client.get(path).text
            assert 'data-access="token"' in html
            assert "reader" not in html


def test_the_page_is_there_without_redis(serve_on: ServeOn) -> None:
    assert serve_on(NOWHERE).get("/").status_code == 200


def test_the_icon_is_also_where_browsers_look_for_it(client: httpx.Client) -> None:
    response = client.get("/favicon.ico")
    assert response.headers["content-type"] == "image/svg+xml"
    assert response.text.startswith("<svg")


def test_what_is_of_others_is_as_they_published_it() -> None:
    lines = (PAGE / "vendor/SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {line.split()[1]: line.split()[0] for line in lines}
    files = {path.name for path in (PAGE / "vendor").iterdir()} - {"README.md", "SHA256SUMS"}
    assert sums.keys() == files
    for name, expected in sums.items():
        assert hashlib.sha256((PAGE / "vendor" / name).read_bytes()).hexdigest() == expected
