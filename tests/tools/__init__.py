"""Ours beside tools of other people, a file for each; without the tool it is skipped."""

import pytest

pytest.register_assert_rewrite("tests.tools.web_server")
