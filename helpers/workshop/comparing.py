"""A plugin of pytest: what `pytest --nbval` does not compare, from any folder.

pyproject.toml loads it; see `sanitize.cfg` beside it.
"""

import pathlib


def pytest_configure(config):
    """Tell nbval where the file is."""
    path = pathlib.Path(__file__).with_name("sanitize.cfg")
    config.option.nbval_sanitize_with = str(path)
