# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: no console message, no request beyond the file itself, no overflow at phone width.

Chromium is driven over its debugging pipe: descriptors 3 and 4, JSON messages ended by a zero byte. That needs no package.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from report import page

from .made_up_pareto import synthetic_pareto

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe"
)
DESKTOP, PHONE = (1280, 900), (390, 844)


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, profile: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._buffer, self._number, self._session = b"", 0, ""
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def pipes() -> None:
            # Chromium reads commands from descriptor 3 and answers on 4; go through high numbers, as the pipes may be 3 and 4.
            low, high = os.dup2(to_browser, 93), os.dup2(from_browser, 94)
            os.dup2(low, 3)
            os.dup2(high, 4)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}"],
            preexec_fn=pipes, close_fds=False, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events on the way are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path: Path, size: tuple[int, int], scheme: str = "light") -> None:
        """Load a file at a viewport size and colour scheme, and wait until it has loaded."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        narrow = size[0] < 600
        self.send("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=narrow)
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def screenshot(self) -> bytes:
        """PNG of the viewport."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """End the browser and its children."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        os.close(self._read)
        os.close(self._write)

    def _receive(self, limit: float = 30) -> dict[str, Any]:
        end = time.monotonic() + limit
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._read, 1 << 16) if ready else b""
            assert data, "Chromium gave no answer"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def index(make_results: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written page."""
    return page.write(make_results() | {"paretos": [synthetic_pareto()]}, tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_opens_from_disk(browser: Browser, index: Path, size: tuple[int, int], scheme: str) -> None:
    browser.open(index, size, scheme)
    screenshot = browser.screenshot()

    requests = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    assert {url for url in requests if not url.startswith("data:")} == {index.as_uri()}
    messages = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [event for event in browser.events if event["method"] in messages] == []

    assert int.from_bytes(screenshot[16:20]) == size[0]  # the PNG header's width
    assert len(screenshot) > 20_000  # an empty page of this size compresses to a few kilobytes
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert (
        browser.evaluate("getComputedStyle(document.body).backgroundColor")
        == {
            "light": "rgb(246, 247, 248)",
            "dark": "rgb(18, 22, 27)",
        }[scheme]
    )


def test_labels_keep_apart_and_inside(browser: Browser, index: Path) -> None:
    """No two texts of one drawing touch, none leaves its drawing, and all are large enough to read on a phone."""
    browser.open(index, PHONE)
    faults = browser.evaluate(
        """[...document.querySelectorAll('figure svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
            const faults = [];
            for (const [name, box] of boxes) {
                if (box.left < frame.left - 2 || box.right > frame.right + 2) faults.push(`${name} leaves its drawing`);
                if (box.height < 10) faults.push(`${name} is too small`);
            }
            boxes.forEach(([name, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
                const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (x > 1 && y > 3) faults.push(`${name} meets ${other}`);
            }));
            return faults;
        })"""
    )
    assert browser.evaluate("document.querySelectorAll('figure svg text').length") > 100
    assert faults == []
