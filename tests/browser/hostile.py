"""Words that would be more than text on a careless page."""

from __future__ import annotations

from typing import Final

HOSTILE: Final = {
    "image": "<img/src=x/onerror=alert(1)>",
    "script": "</script><script>alert(1)</script>",
    "svg": "\"'><svg/onload=alert(1)>",
    "foreign": "<img/src=http://elsewhere.example/x.png>",
    "style": "</style><style>@import'http://elsewhere.example/x.css';</style>",
    "comment": "<!--",
    "entity": "&lt;b&gt;&#0;",
    "template": "${alert(1)}{{constructor.constructor('alert(1)')()}}",
    "address": "javascript:alert(1)",
    "path": "../../%2e%2e/%00/..;/?word=a&b#/word/other",
    "percent": "100%",
    "prototype": "__proto__",
    "member": "constructor",
    "right_to_left": "\u202eمرحبا\u202c\u05e9\u05dc\u05d5\u05dd",
    "combining": "Z" + "\u0300\u0320" * 60,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 4,
    "invisible": "\u200b\u2060\ufeff",
    "control": "a\x00b\x07c\x1b[31m",
    "long": "long" * 250,
}
"""Name in the test's id -> word; none has white space, at which words are split."""
