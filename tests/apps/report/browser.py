"""Headless Chromium for tests of pages. A test is skipped if the machine has no Chromium, driver or Selenium."""
import json
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import made_report  # noqa: E402

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SKIPPED = 77  # ctest knows this exit code


def loss(value):
    """As the page writes it."""
    return f"{value:.4f}".replace("-", "\u2212")


class PageTest(unittest.TestCase):
    """A test that opens pages. At its end, no page may have reported an error or asked for anything."""

    @classmethod
    def setUpClass(cls):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--force-prefers-reduced-motion", "--window-size=1400,1000"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        cls.browser = webdriver.Chrome(options=options, service=Service(DRIVER))
        cls.addClassCleanup(cls.browser.quit)
        cls.browser.set_page_load_timeout(60)
        cls.browser.set_script_timeout(60)
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)

    def setUp(self):
        self.screen(1400)
        self.media([])
        self.browser.get("about:blank")
        self.browser.get_log("browser")
        self.browser.get_log("performance")

    def tearDown(self):
        self.assertEqual([entry["message"] for entry in self.browser.get_log("browser")], [])
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        self.assertEqual([url for url in asked if not url.startswith(("file:", "data:", "about:"))], [])

    def screen(self, width):
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                     {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False})

    def media(self, features):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, document):
        path = os.path.join(self.folder, f"{self.id().rsplit('.', maxsplit=1)[-1]}.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write(made_report.page(document))
        self.open_file(path)
        return document

    def open_file(self, path):
        self.browser.get("file://" + path)
        self.wait(lambda: self.run("return document.documentElement.dataset.ready") == "yes")

    def run_all_pictures(self):
        """Scrolls to every picture that is not drawn yet, until it is."""
        for box in self.every(".box"):
            self.wait(lambda box=box: self.run(
                "if (!arguments[0].firstChild) arguments[0].scrollIntoView({block: 'center'}); return arguments[0].firstChild !== null", box))

    def wait(self, condition, seconds=20):
        # While a page loads, there may be nobody to answer.
        WebDriverWait(self.browser, seconds, 0.02, [WebDriverException]).until(lambda _: condition())

    def run(self, script=None, *arguments):
        # unittest calls run(result) too.
        if not isinstance(script, str):
            return super().run(script)
        return self.browser.execute_script(script, *arguments)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def every(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector)

    def choose(self, name, value):
        Select(self.one(f"#{name}")).select_by_value(str(value))


def main():
    missing = [name for name, found in (("python3-selenium", webdriver), ("chromium", CHROMIUM), ("chromium-driver", DRIVER)) if not found]
    if missing:
        print(f"left out: this test needs the Debian packages {', '.join(missing)}", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main()
