"""The page under the policies of hosts, with passwords, on odd paths, and without https."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staticstore.site.documents.page import render_page
from staticstore.site.publisher import publish
from staticstore.site.server import serve
from tests.servers import Nginx
from tests.tools.page.browsing import FILES, Look, choose, expect, keys

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTING = (Path(__file__).parents[3] / "docs/hosting.md").read_text("utf-8")
METADATA = {"tables/*": {"preview": "pictures/pixel.png", "bbox": [1, 2, 3, 4]}}


def own_policy() -> str:
    """Return the policy that the page has in its own meta element."""
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', render_page().decode())
    assert found is not None
    return found[1]


def strict_policy() -> str:
    """Return a policy of a host that knows the digests of the page."""
    script, style = re.findall(r"'sha256-[^']+'", own_policy())
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; "
        "img-src 'self' blob: data: https:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def hosted(site: Path, policy: str, **options: Any) -> Nginx:
    publish(site, browse=True, metadata=METADATA)
    return Nginx(site, extra=f'add_header Content-Security-Policy "{policy}" always;', **options)


def check_all_of_it(page: Page) -> None:
    assert keys(page) == sorted(FILES)
    choose(page, "tables/rain.csv")
    expect(page.locator("figure svg .curve")).to_have_count(2)
    expect(page.locator(".picture img")).to_be_visible()
    expect(page.locator(".place svg").first).to_be_visible()
    expect(page.locator(".sha256")).to_contain_text("verified")


def test_it_works_in_full_under_a_strict_policy_with_its_digests(site: Path, look: Look) -> None:
    with hosted(site, strict_policy()) as host:
        check_all_of_it(look(host.url))


def test_the_lines_of_hosting_md_give_it_its_policy(site: Path, look: Look) -> None:
    publish(site, browse=True, metadata=METADATA)
    section = HOSTING.partition("### A Content-Security-Policy")[2]
    blocks = re.findall(r"```(?:sh|nginx)\n(.*?)```", section, re.DOTALL)
    command, lines = blocks[:2]
    (site.parent / "my_site").symlink_to(site)
    subprocess.run(["sh", "-ec", command], cwd=site.parent, check=True)
    policy = site.parent / "policy.conf"
    assert own_policy() in policy.read_text()
    lines = lines.replace("/etc/nginx/policy.conf", f'"{policy}"')
    forbidding = "add_header Content-Security-Policy \"default-src 'self'\" always;"
    with Nginx(site, extra=f"{forbidding}\n{lines}") as host:
        page = look(host.url)
        check_all_of_it(page)
        answer = page.request.get(host.url)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_under_a_policy_that_forbids_its_script_it_says_what_to_allow(
    site: Path, browser: Browser
) -> None:
    with hosted(site, "default-src 'self'") as host, browser.new_context() as context:
        page = context.new_page()
        page.goto(host.url)
        assert page.locator("#first li a").all_inner_texts() == sorted(FILES)
        expect(page.locator("#app")).to_be_hidden()
        page.get_by_text("If the host forbids the script").click()
        expect(page.locator("#first pre")).to_have_text(own_policy())


def test_f10_no_policy_of_ours_allows_what_is_unsafe() -> None:
    policy = own_policy()
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert policy.endswith("require-trusted-types-for 'script'; trusted-types 'none'")


def test_it_works_behind_a_password_and_on_any_path(site: Path, look: Look) -> None:
    with hosted(site, own_policy(), auth=("ali", "sesame"), location="/my%20data/100%25/") as host:
        credentials = {"username": "ali", "password": "sesame"}
        page = look(host.url, http_credentials=credentials)
        choose(page, "tables/rain.csv")
        expect(page.locator(".picture img")).to_be_visible()
        expect(page.locator(".sha256")).to_contain_text("verified")


def test_without_https_values_are_shown_and_the_page_says_that_they_are_not_verified(
    site: Path, browser: Browser
) -> None:
    publish(site, browse=True, metadata=METADATA)
    with serve(site, port=0) as server, browser.new_context() as context:
        # As a browser does at an address that is neither https nor of this machine.
        context.add_init_script("Object.defineProperty(crypto, 'subtle', {value: undefined})")
        page = context.new_page()
        page.goto(server.url)
        choose(page, "tables/rain.csv")
        expect(page.locator("figure svg .curve")).to_have_count(2)
        expect(page.locator(".sha256")).to_contain_text("not verified")
        expect(page.locator(".picture .note")).to_have_text("pictures/pixel.png")
