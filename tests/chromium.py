"""A headless Chromium driven over its DevTools pipe: no driver, no port, no network."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_WAIT_S = 30.0


class Chromium:
    """One page of a running browser.

    Attributes:
        downloads: folder that the page's downloads go to.
        requests: addresses that the page asked for, ``data:`` aside.
        complaints: errors on the page's console, its policy's among them.
    """

    def __init__(self, read: int, write: int, downloads: Path) -> None:
        self._read, self._write = read, write
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.downloads = downloads
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None and not method.startswith(("Browser.", "Target.")):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._message(_WAIT_S)
            if reply.get("id") == self._number:
                assert "error" not in reply, f"{method}: {reply['error']}"
                result: dict[str, Any] = reply["result"]
                return result

    def open(self, path: Path) -> None:
        """Load a file and wait until its scripts have run."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def visit(self, url: str) -> None:
        """Load a page of a server and wait until it is whole; it may lead to another one."""
        self.evaluate("window.isOld = true")
        self.call("Page.navigate", url=url)
        self.wait(
            "window.isOld === undefined && document.readyState === 'complete'"
            " && location.protocol === 'http:'"
        )

    def show(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show pages at a width and height in CSS pixels; below 500 as a phone does."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def reload(self) -> None:
        self.evaluate("window.isOld = true")
        self.call("Page.reload")
        self.wait("window.isOld === undefined && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, evaluated as if the user had just clicked."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + _WAIT_S
        while self.evaluate(condition) is not True:
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.01)

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of an element, which must be in reach."""
        place = self.evaluate(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)});"
            " element.scrollIntoView({block: 'center'});"
            " const box = element.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def press(self, key: str) -> None:
        """Press and release a key, such as ``1``, ``Enter`` or a blank."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, " ": 32, "ArrowLeft": 37}.get(key, ord(key[0]))
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                text=text if kind == "keyDown" else "",
                windowsVirtualKeyCode=code,
            )

    def text(self, selector: str) -> str:
        """Text of an element as it is shown; empty for one that is hidden."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def downloaded(self, name: str) -> Path:
        """A file that the page hands out, when it is whole."""
        path = self.downloads / name
        deadline = time.monotonic() + _WAIT_S
        while not path.exists() or list(self.downloads.glob("*.crdownload")):
            assert time.monotonic() < deadline, f"{name} was not downloaded"
            self._note_events()
            time.sleep(0.01)
        return path

    def _note_events(self) -> None:
        while select.select([self._read], [], [], 0)[0]:
            self._message(_WAIT_S)

    def _message(self, wait_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._read], [], [], wait_s)[0], "the browser says nothing"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        event = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            url = event["request"]["url"]
            self.requests += [] if url.startswith("data:") else [url]
        elif message.get("method") == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.complaints.append(event["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(event["exceptionDetails"]))
        return message


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """A browser with a profile of its own; the test is skipped where there is none.

    Args:
        folder: empty, for the profile and the downloads.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no browser: the package chromium of the distribution brings one")
    downloads = folder / "downloads"
    downloads.mkdir()
    from_here, to_here = os.pipe(), os.pipe()

    def as_3_and_4() -> None:  # where the browser looks for the pipe
        ends = [os.dup(from_here[0]), os.dup(to_here[1])]
        for end, number in zip(ends, (3, 4), strict=True):
            os.dup2(end, number)

    command = [
        program,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        "--remote-debugging-pipe",
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        f"--user-data-dir={folder / 'profile'}",
    ]
    process = subprocess.Popen(
        command,
        preexec_fn=as_3_and_4,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_here[0])
    os.close(to_here[1])
    try:
        browser = Chromium(to_here[0], from_here[1], downloads)
        yield browser
        browser.call("Browser.close")
        process.wait(_WAIT_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(from_here[1])
        os.close(to_here[0])
