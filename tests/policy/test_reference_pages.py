import re

import pytest

from app.config.settings import Settings
from app.config.types import variable
from app.reference import FOLDER, PACKAGES, PAGES, ROOT
from app.worker.metrics import Metrics


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_what_the_code_says(name):
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), "run: python -m app.reference"


def test_every_setting_is_on_the_page():
    page = PAGES["settings.md"]()
    for name in Settings.model_fields:
        assert f"| `{variable(name)}` |" in page


def test_every_metric_of_the_core_is_on_the_page():
    page = PAGES["metrics.md"]()
    for name in ("records_read_total", "records_total", "words_total", "flush_seconds", "lag_records"):
        assert f"| `wordcount_{name}` |" in page


def test_every_label_of_a_metric_is_on_the_page():
    page = PAGES["metrics.md"]()
    labelled = [one for one in Metrics().registry._collector_to_names if getattr(one, "_labelnames", ())]
    assert labelled
    for one in labelled:
        labels = ", ".join(f"`{name}`" for name in sorted(one._labelnames))
        assert re.search(rf"^\| `{one._name}(_total)?` \| \w+ \| {labels} \|", page, re.MULTILINE), one._name


def test_every_module_is_on_the_page_with_a_sentence():
    page = PAGES["modules.md"]()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "__init__.py":
                assert f"\n## {path.parent.relative_to(ROOT)}/\n\n" in page
            else:
                assert re.search(rf"^\| `{path.relative_to(ROOT)}` \| \S.+ \|$", page, re.MULTILINE), path
