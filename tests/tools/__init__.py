"""Tests with tools of other people: a file for each tool, skipped where there is none."""

import pytest

pytest.register_assert_rewrite("tests.tools.web_server")
