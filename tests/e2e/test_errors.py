"""What can go wrong in a night is one clear error each: no traceback, nothing lost."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.e2e.world import PROJECT, World, free_port


def error_of(process: subprocess.CompletedProcess[str]) -> str:
    """The one error, as a person reads it; the exit code is not 0 and no traceback is shown."""
    assert process.returncode not in (0, None), process.stdout[-500:]
    assert "Traceback" not in process.stderr + process.stdout
    assert process.stderr.count("Error  ") == 1, process.stderr
    assert "no name for" not in process.stderr, process.stderr
    assert "do     " in process.stderr
    return " ".join(process.stderr.split())


def test_a_wrong_token(night: World) -> None:
    night.extra["NIGHTDESK_HUBSPOT_TOKEN"] = "wrong-token-4711"
    before = night.one("ledger", "select count(*) from answers")
    with night.serving():
        error = error_of(night.run("refresh", expect=None))
    assert "token" in error
    assert "4711" not in error
    assert night.one("ledger", "select count(*) from answers") == before


def test_no_token(night: World) -> None:
    night.extra["NIGHTDESK_HUBSPOT_TOKEN"] = ""
    assert "NIGHTDESK_HUBSPOT_TOKEN" in error_of(night.run("refresh", expect=None))


@contextmanager
def some_other_server() -> Iterator[int]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>It works!</html>")

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_url_that_is_not_the_crm(night: World) -> None:
    with some_other_server() as port:
        night.extra["NIGHTDESK_HUBSPOT_URL"] = f"http://127.0.0.1:{port}"
        error = error_of(night.run("refresh", expect=None))
    assert "HubSpot" in error


def test_a_url_that_is_no_url(night: World) -> None:
    night.extra["NIGHTDESK_HUBSPOT_URL"] = "api.hubapi.com"
    assert "NIGHTDESK_HUBSPOT_URL" in error_of(night.run("refresh", expect=None))


def test_the_crm_is_down(night: World) -> None:
    before = night.end_state()
    night.extra["NIGHTDESK_HUBSPOT_URL"] = f"http://127.0.0.1:{free_port()}"
    error = error_of(night.run("refresh", expect=None))
    assert "127.0.0.1" in error
    assert night.end_state()["answers"] == before["answers"]


def test_a_broken_policy(night: World, tmp_path: Path) -> None:
    policies = Path(shutil.copytree(PROJECT / "policies", tmp_path / "policies"))
    scoring = policies / "scoring.yml"
    scoring.write_text(scoring.read_text().replace("persona: 35", "persona: 36"))
    night.extra["NIGHTDESK_POLICIES"] = str(policies)
    error = error_of(night.run("refresh", expect=None))
    assert "scoring.yml" in error and "101, not 100" in error


def test_a_second_refresh_at_the_same_time(night: World) -> None:
    with night.serving():
        first = night.start("refresh")
        deadline = time.monotonic() + 30
        while not (night.data / "nightdesk.lock.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        error = error_of(night.run("refresh", expect=None))
        assert f"process {first.pid}" in error
        assert first.poll() is None  # still at work, undisturbed; how it ends is the business of other tests
        first.kill()
        first.communicate()


def test_a_full_disk(company: World, tmp_path: Path) -> None:
    """A small file system of its own where the machine lets us make one, else a limit on the size of any one file."""
    world = company.copy(tmp_path / "world")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(world.data)], capture_output=True
    ).returncode
    if mounted == 0:
        try:
            with company.serving() as url:
                world.extra["NIGHTDESK_HUBSPOT_URL"] = url
                error = error_of(world.run("refresh", expect=None))
        finally:
            subprocess.run(["umount", str(world.data)], check=True)
    else:
        limit = 3_000_000
        with company.serving() as url:
            world.extra["NIGHTDESK_HUBSPOT_URL"] = url
            process = world.start(
                "refresh", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            )
            out, err = process.communicate(timeout=200)
            error = error_of(subprocess.CompletedProcess(["refresh"], process.returncode, out, err))
    assert "space" in error or "disk" in error or "large" in error


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "nightdesk", "init"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "dbt_project.yml" in error_of(process)


@pytest.mark.parametrize(
    "arguments", [("refersh",), ("refresh", "--nights", "2"), ("sandbox", "generate", "--contacts", "0")]
)
def test_a_command_that_is_not_understood(night: World, arguments: tuple[str, ...]) -> None:
    process = night.run(*arguments, expect=None)
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    assert arguments[-1].lstrip("-") in process.stderr or "No such" in process.stderr
