"""Shared fixtures: real data where it is, small graphs everywhere."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real datasets; skips where GRAPHEMBED_DATA does not name one."""
    value = os.environ.get("GRAPHEMBED_DATA")
    if not value:
        pytest.skip("GRAPHEMBED_DATA is not set: the real datasets are not here")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"GRAPHEMBED_DATA={value!r} is not a folder")
    return path
