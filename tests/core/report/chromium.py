"""A page in Chromium, as a reader has it: with a window, a theme, a mouse and a keyboard."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",  # which does not run as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--disable-lcd-text",  # whose colors make pictures large
)


def why_no_browser() -> str:
    """Return why there is no browser here; empty if there is one."""
    if any(map(shutil.which, _BROWSERS)) and shutil.which("chromedriver"):
        return ""
    return "needs Chromium and chromedriver: Debian's packages chromium and chromium-driver"


class Chromium:
    """A browser with one page, which runs until it is closed."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = next(filter(None, map(shutil.which, _BROWSERS)))
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self._driver: Final = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def close(self) -> None:
        self._driver.quit()

    def show(
        self, page: Path, *, width: int = 1200, height: int = 900, theme: str = "light"
    ) -> None:
        """Open a page; what the last one logged is forgotten."""
        self._devtools(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": theme}],
        )
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._driver.get("about:blank")
        self.messages()
        self.requests()
        self._driver.get(page.as_uri())

    def _devtools(self, command: str, **arguments: Any) -> Any:
        return self._driver.execute_cdp_cmd(command, arguments)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript and return what it returns."""
        return self._driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements of the page that match a CSS selector and can be seen."""
        found: list[WebElement] = self._driver.find_elements(By.CSS_SELECTOR, selector)
        return [one for one in found if one.is_displayed()]

    def one(self, selector: str) -> WebElement:
        """Return the only element that matches a CSS selector."""
        (found,) = self.all(selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that match a CSS selector."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)",
            selector,
        )
        return texts

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self._driver).send_keys(key).perform()

    def focused(self, attribute: str) -> str:
        """Return an attribute of the element that has the focus."""
        value: str = self.run("return document.activeElement.getAttribute(arguments[0])", attribute)
        return value

    def _log(self, kind: str) -> list[dict[str, Any]]:
        return self._driver.get_log(kind)  # type: ignore[no-untyped-call, no-any-return]

    def messages(self) -> list[str]:
        """Return what was written to the console since this was last asked."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were requested since this was last asked."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def picture(self, *, height: int) -> bytes:
        """Return the top of the page as PNG."""
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self._devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(taken["data"])
