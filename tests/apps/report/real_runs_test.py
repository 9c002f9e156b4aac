"""Opens pages that the program wrote from run directories, and compares them with the files of these runs.

Usage: real_runs_test.py PROGRAM SMALL_RUN, where SMALL_RUN holds the run directory `run`.
"""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser  # noqa: E402
from browser import loss  # noqa: E402

if browser.webdriver:
    from selenium.webdriver.common.keys import Keys

PROGRAM, SMALL_RUN = sys.argv[1:3] if len(sys.argv) > 2 else (None, None)


class RealRuns(browser.PageTest):
    def report(self, *arguments):
        path = os.path.join(self.folder, f"{self.id().rsplit('.', maxsplit=1)[-1]}.html")
        subprocess.run([PROGRAM, "report", *arguments, "--out", path], check=True, capture_output=True)
        self.open_file(path)
        self.run_all_pictures()

    def copy(self, folder, alpha, seed):
        """A run directory as another α and seed could have left it. Its losses are those of the small run, moved."""
        made = os.path.join(folder, f"alpha-{alpha}-seed-{seed}")
        shutil.copytree(os.path.join(SMALL_RUN, "run"), made, ignore=shutil.ignore_patterns(".lock"))
        config = os.path.join(made, "config.toml")
        with open(config, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"(?m)^aux_loss_alpha = .*$", f"aux_loss_alpha = {alpha}", text)
        text, seeds = re.subn(r"(?m)^seed = .*$", f"seed = {seed}", text)
        self.assertEqual(seeds, 2)  # of data and of train
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        rows = self.rows(made)
        for row in rows:
            for key in ("ce", "val_ce"):
                if row.get(key) is not None:
                    row[key] += alpha + seed / 100 + alpha * seed
        with open(os.path.join(made, "metrics.jsonl"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        return made

    @staticmethod
    def rows(run):
        with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def read_at_end(self):
        self.one("#curves .box").send_keys(Keys.END)
        return self.texts("#curves .legend .value")

    def test_the_page_of_a_run_holds_the_numbers_of_its_files(self):
        run = os.path.join(SMALL_RUN, "run")
        self.report(run)
        rows = self.rows(run)
        self.assertEqual(self.texts("main > section h2"), ["The run in numbers", "Curves", "Load of the experts"])
        facts = dict(zip(self.texts("#facts dt"), self.texts("#facts dd")))
        self.assertEqual(facts["Training cross-entropy (nats)"], loss(rows[-1]["ce"]))
        self.choose("metric", "ce")
        self.assertEqual(self.read_at_end(), [loss(rows[-1]["ce"])])
        self.one("#curves .box").send_keys(Keys.HOME)
        self.assertEqual(self.texts("#curves .legend .value"), [loss(rows[0]["ce"])])

    def test_the_page_of_several_runs_compares_their_files(self):
        folder = os.path.join(self.folder, "runs")
        runs = [self.copy(folder, alpha, seed) for alpha in (0.001, 0.25) for seed in (1, 2, 3)]
        self.report(folder)
        last = [[row for row in self.rows(run) if row.get("val_ce") is not None][-1]["val_ce"] for run in runs]
        means = [sum(last[:3]) / 3, sum(last[3:]) / 3]
        self.assertEqual([text.split(" ± ")[0] for text in self.texts("#results-table tbody tr:not([hidden]) td:nth-child(3)")],
                         [loss(mean) for mean in means])
        self.choose("metric", "val_ce")
        self.assertEqual(self.read_at_end(), [loss(mean) for mean in means])
        first, = self.texts("#difference-sentences li")
        self.choose("baseline", 1)
        second, = self.texts("#difference-sentences li")
        self.assertIn("3 seeds", first)
        self.assertIn("paired t-test", second)
        self.assertNotEqual(first, second)


if __name__ == "__main__":
    del sys.argv[1:3]
    browser.main()
