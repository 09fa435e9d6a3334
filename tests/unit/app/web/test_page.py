import base64
import hashlib
import re


async def page_of(client):
    reply = await client.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    return reply


async def test_the_page_loads_nothing_from_elsewhere(client):
    page = (await page_of(client)).text
    assert not re.search(r"https?:|//[a-z0-9.-]+\.[a-z]{2,}|@import|url\(", page, re.IGNORECASE)
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "openapi.json", "metrics"]


async def test_the_policy_allows_this_script_and_style_and_nothing_else(client):
    reply = await page_of(client)
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for element in ("script", "style"):
        (content,) = re.findall(f"<{element}[^>]*>(.*?)</{element}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"
    assert "unsafe" not in reply.headers["content-security-policy"]


async def test_no_inline_handler_or_style_that_the_policy_would_block(client):
    markup = re.sub(r"<(script|style)>.*?</\1>", "", (await page_of(client)).text, flags=re.DOTALL)
    assert not re.search(r"\s(on[a-z]+|style)=", markup)


async def test_words_reach_the_page_as_text_only(client):
    page = (await page_of(client)).text
    assert "textContent" in page
    for markup_sink in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ):
        assert markup_sink not in page


async def test_words_that_look_like_markup_are_answered_as_json_that_no_browser_sniffs(client, queries):
    queries.counts = {"<script>alert(1)</script>": 1}
    reply = await client.get("/v1/top")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.json()["words"][0]["word"] == "<script>alert(1)</script>"


async def test_the_page_names_its_parts_for_assistive_technology(client):
    page = (await page_of(client)).text
    assert '<html lang="en">' in page
    assert 'role="status"' in page
    assert '<label for="prefix">' in page
    for section in re.findall(r'<section aria-labelledby="([^"]+)"', page):
        assert f'id="{section}"' in page
    assert "color-scheme: light dark" in page


async def test_every_element_that_the_script_looks_for_exists(client):
    page = (await page_of(client)).text
    for name in set(re.findall(r'byId\("([^"]+)"\)', page)):
        assert f'id="{name}"' in page
