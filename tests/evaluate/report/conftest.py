from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time

import pytest


class Browser:
    """Headless Chromium, spoken to over its two pipes in the DevTools protocol."""

    def __init__(self, executable, profile):
        self.reads, theirs_out = os.pipe()
        theirs_in, self.writes = os.pipe()
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--disable-dev-shm-usage",
        ]
        flags += ["--disable-background-networking", "--no-first-run", f"--user-data-dir={profile}"]
        # Chromium reads commands from 3 and writes answers to 4.
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, executable, *flags, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.events, self.count, self.session = b"", [], 0, None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address, width):
        """Load a page at a width and return the seconds until it was loaded."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        start = time.perf_counter()
        self.ask("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()
        return time.perf_counter() - start

    def evaluate(self, script):
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def complaints(self):
        """What the console would show, and what could not be loaded."""
        wrong = {"Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed"}
        said = [event for event in self.events if event["method"] in wrong]
        return said + [e for e in self.events if e["method"] == "Runtime.consoleAPICalled"]

    def picture(self):
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def pdf(self):
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        os.close(self.reads)
        os.close(self.writes)

    def _next(self):
        while b"\0" not in self.buffer:
            block = os.read(self.reads, 1 << 16)
            assert block, "the browser has closed"
            self.buffer += block
        raw, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(raw)
        if "method" in message:
            self.events.append(message)
        return message


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless browser; skipped by name where there is none."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("chromium is not installed")
    opened = Browser(executable, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
