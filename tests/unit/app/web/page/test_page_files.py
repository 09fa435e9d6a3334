"""The page and its files as they are served, and what must not stand in them."""

import re

import httpx
import pytest
from starlette.applications import Starlette

from app.web.resources.page import POLICY, file_names, routes
from tests.unit.app.web.page.engine import FOLDER, imports_of

INDEX = (FOLDER / "index.html").read_text("utf-8")
MODULES = sorted(path.name for path in FOLDER.glob("*.js"))
TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


async def test_the_page_is_html_under_a_policy_that_allows_files_of_this_origin_alone(client):
    reply = await client.get("/")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["content-security-policy"] == POLICY
    policy = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert policy["default-src"] == policy["trusted-types"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(("takes_texts", "said"), [(True, "on"), (False, "off")])
async def test_the_page_is_told_whether_texts_are_taken(takes_texts, said):
    app = Starlette(routes=routes(takes_texts=takes_texts))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert f'<html lang="en" data-ingest="{said}">' in (await client.get("/")).text


@pytest.mark.parametrize("name", file_names())
async def test_a_file_has_its_type_and_a_tag_by_which_it_is_not_sent_again(client, name):
    reply = await client.get(f"/page/{name}")
    assert (reply.status_code, reply.text) == (200, (FOLDER / name).read_text("utf-8"))
    assert reply.headers["content-type"] == TYPES[name.rpartition(".")[2]]
    again = await client.get(f"/page/{name}", headers={"If-None-Match": reply.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["index.html", "none.js", "..%2Fpage%2Fmain.js", "%2E%2E", "main.js%0A"])
async def test_what_is_no_file_of_the_page_is_not_found(client, name):
    assert (await client.get(f"/page/{name}")).status_code == 404


def test_everything_that_the_page_loads_is_there_and_nothing_else_is():
    loaded = set(re.findall(r'(?:src|href)="page/([^"]+)"', INDEX))
    found = set(loaded)
    while loaded:
        name = loaded.pop()
        if name.endswith(".js"):
            more = set(imports_of((FOLDER / name).read_text("utf-8"))) - found
            found |= more
            loaded |= more
    assert found == set(file_names())


def test_nothing_comes_from_elsewhere_and_nothing_stands_inline():
    for name in ["index.html", *file_names()]:
        text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|@import|url\((?!#)", text), name
    assert not re.search(r"\s(on[a-z]+|style)=", INDEX)
    assert re.findall(r"<script[^>]*>[^<]", INDEX) == re.findall(r"<style", INDEX) == []


@pytest.mark.parametrize("name", MODULES)
def test_words_reach_the_page_as_text_only(name):
    script = (FOLDER / name).read_text("utf-8")
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|createContextualFragment|setHTML"
    assert not re.search(sinks, script)


def test_every_element_that_a_module_looks_for_exists():
    ids = re.findall(r'\bid="([^"]+)"', INDEX)
    assert len(ids) == len(set(ids))
    for name in MODULES:
        script = (FOLDER / name).read_text("utf-8")
        assert set(re.findall(r'byId\("([^"]+)"\)', script)) <= set(ids), name
    assert set(re.findall(r'(?:for|aria-controls|aria-labelledby|aria-describedby)="([^"]+)"', INDEX)) <= set(
        ids
    )


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_short_and_uses_what_it_imports(name):
    script = (FOLDER / name).read_text("utf-8")
    assert len(script.splitlines()) <= 400
    assert max(map(len, script.splitlines())) <= 200
    for names in re.findall(r"^import \{(.*)\} from", script, re.MULTILINE):
        for one in names.split(","):
            assert len(re.findall(rf"\b{one.strip()}\b", script)) > 1, one


def test_without_a_script_the_page_leads_to_the_same_answers_as_json():
    (noscript,) = re.findall(r"<noscript>(.*?)</noscript>", INDEX, re.DOTALL)
    assert {"v1/top", "v1/stats", "v1/windows", "v1/assignments", "openapi.json"} <= set(
        re.findall('href="([^"]+)"', noscript)
    )
