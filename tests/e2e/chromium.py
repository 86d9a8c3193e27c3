"""Headless Chromium driven over its own pipe (DevTools protocol): no driver, no package, no port.

Source: https://chromedevtools.github.io/devtools-protocol/; --remote-debugging-pipe reads from descriptor 3 and writes
to 4, a NUL after each message.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 60.0
# Moves two descriptors to where Chromium looks for them, and becomes Chromium.
_TO_3_AND_4 = (
    "import fcntl, os, sys; one, two = (fcntl.fcntl(int(name), fcntl.F_DUPFD, 10) for name in sys.argv[1:3]);"
    "os.dup2(one, 3); os.dup2(two, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


class Page:
    """One page. Console errors, uncaught exceptions and refused loads are kept in `complaints`."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._rest = b""
        self._arrived: deque[dict[str, Any]] = deque()
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requested: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its answer; events that come meanwhile are noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(end)
            if answer is None:
                raise TimeoutError(method)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def run(self, script: str) -> Any:
        """Evaluate JavaScript, await its promise, and return its value."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address and wait until its document is there."""
        self.call("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    def until(self, condition: str, seconds: float = PATIENCE_S) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{condition}; the page says: {self.run('document.body.innerText')[:2000]}"
                )
            time.sleep(0.05)

    def size(self, width: int, height: int, *, scale: float = 1, mobile: bool = False) -> None:
        """Set the size of the page in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )

    def media(self, **features: str) -> None:
        """Set media features, such as prefers_color_scheme="dark"."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def offline(self, away: bool) -> None:
        """Cut the page off, or connect it again."""
        self.call(
            "Network.emulateNetworkConditions",
            offline=away,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def press(
        self, key: str, *, ctrl: bool = False, shift: bool = False, code: int = 0, text: str = ""
    ) -> None:
        """Press and release a key."""
        modifiers = 2 * ctrl + 8 * shift
        common = {"key": key, "code": key, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first point and move it over the others."""
        for number, (x, y) in enumerate(points):
            event = "mousePressed" if number == 0 else "mouseMoved"
            self.call(
                "Input.dispatchMouseEvent", type=event, x=x, y=y, button="left", buttons=1, clickCount=1
            )
        x, y = points[-1]
        self.call(
            "Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", buttons=0, clickCount=1
        )

    def choose(self, selector: str, file: Path) -> None:
        """Put a file into a file input."""
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call("DOM.setFileInputFiles", files=[str(file)], objectId=node["result"]["objectId"])

    def shot(self, path: Path, *, whole: bool = False) -> None:
        """Write a screenshot as PNG; whole: the part below the window too."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _next(self, end: float) -> dict[str, Any] | None:
        """Return the next message, None when the time is over."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium ended"
            self._rest += part
        whole, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(whole)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(json.dumps(params["args"])[:500])
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start Chromium with a fresh profile, and give a page of it."""
    assert CHROMIUM is not None
    from_us, to_it = os.pipe()
    from_it, to_us = os.pipe()
    command = [
        CHROMIUM,
        "--headless=new",
        "--remote-debugging-pipe",
        "--no-sandbox",  # tests run as root in containers
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ]
    process = subprocess.Popen(
        [sys.executable, "-ESc", _TO_3_AND_4, str(from_us), str(to_us), *command],
        pass_fds=(from_us, to_us),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Page(from_it, to_it)
    finally:
        os.close(to_it)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.wait()
        os.close(from_it)
