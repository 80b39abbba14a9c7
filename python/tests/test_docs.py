"""The examples of the documentation run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore::upnext.UpnextWarning")
def test_examples(tmp_path, monkeypatch):
    if not DOCS.is_dir():
        pytest.skip("the documentation is not here")
    simulate = [sys.executable, "-m", "upnext", "simulate", "--out", "clicks.csv", "--sessions", "3000", "--quiet"]
    subprocess.run(simulate, cwd=tmp_path, check=True, capture_output=True, env=os.environ)
    monkeypatch.chdir(tmp_path)
    known: dict = {"__name__": "examples"}
    for page in ("python.md", "onnx.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert blocks, page
        for block in blocks:
            exec(compile(block, page, "exec"), known)
