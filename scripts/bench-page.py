"""Measures the leaderboard and optuna-dashboard on the same trials, in one run: see bench-page.sh.

First paint is the browser's own first-contentful-paint, each time in a new profile; "shown" is when the page has the
best value. Memory is what the processes have for themselves (Pss): the server's after the pages were read, and that of
the browser's process that draws the page.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

STUDY = "fashion-overnight"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,800"]


def ask(url, body=None, timeout=600):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def wait_for(url, process, seconds):
    end = time.time() + seconds
    while time.time() < end:
        if process.poll() is not None:
            raise SystemExit(f"{url} never answered: its server ended with {process.returncode}")
        try:
            return ask(url, timeout=5)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit(f"{url} did not answer in {seconds} s")


def memory_mb(pid):
    """Of the process and its children."""
    total = 0
    for process in [pid, *children(pid)]:
        try:
            text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))
        except (OSError, AttributeError):
            pass
    return total / 1024


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += [int(child), *children(int(child))]
        except OSError:
            pass
    return found


class Browser:
    """A new browser with a new profile, through chromedriver."""

    def __init__(self, port):
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{port}"
        wait_for(self.base + "/status", self.driver, 20)

    def __enter__(self):
        self.profile = tempfile.mkdtemp()
        options = {"args": [*FLAGS, f"--user-data-dir={self.profile}"]}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self.session = f"{self.base}/session/{json.loads(ask(self.base + '/session', wanted))['value']['sessionId']}"
        ask(self.session + "/timeouts", {"pageLoad": 600_000, "script": 600_000})
        return self

    def __exit__(self, *_):
        urllib.request.urlopen(urllib.request.Request(self.session, method="DELETE"))
        shutil.rmtree(self.profile, ignore_errors=True)

    def js(self, script):
        return json.loads(ask(self.session + "/execute/sync", {"script": script, "args": []}))["value"]

    def renderers_mb(self):
        """The largest process that draws pages: the page's own."""
        found = [0]
        for pid in children(self.driver.pid):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"--type=renderer" in words:
                found.append(memory_mb(pid))
        return max(found)

    def open(self, url, shown, seconds):
        """Seconds to the first paint and to what is waited for, and the memory of the page."""
        began = time.time()
        ask(self.session + "/url", {"url": url}, timeout=seconds)
        while not self.js(f"return Boolean({shown})"):
            if time.time() - began > seconds:
                return self.paint(), None, self.renderers_mb()
            time.sleep(0.01)
        at = self.js("return performance.now() / 1000")
        time.sleep(1)
        return self.paint(), at, self.renderers_mb()

    def paint(self):
        script = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000"
        return self.js(script)


def pages(name, browser, url, shown, repetitions, seconds):
    paints, ats, megabytes = [], [], []
    for _ in range(repetitions):
        with browser as one:
            paint, at, memory = one.open(url, shown, seconds)
        paints.append(paint)
        ats.append(at)
        megabytes.append(memory)
    several = lambda values: " ".join("never" if it is None else f"{it:.2f}" for it in values)
    print(f"{name}: first paint {several(paints)} s, shown {several(ats)} s, "
          f"the page takes {statistics.median(megabytes):.0f} MB", flush=True)


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(name, url, server):
    """Also the server's processor time per page, which does not depend on what else the machine does."""
    before = processor_seconds(server.pid)
    words = ["wrk", "-t1", "-c1", "-d4s", "--latency", url]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", printed, re.M))
    pages = int(re.search(r"(\d+) requests in", printed).group(1))
    spent = 1000 * (processor_seconds(server.pid) - before) / max(pages, 1)
    wrong = re.search(r"Non-2xx.*", printed)
    print(f"{name}: median {found['50']}, 99 % {found['99']}, processor {spent:.1f} ms, {len(ask(url)) / 1024:.0f} KiB"
          f"{' ' + wrong.group(0) if wrong else ''}", flush=True)


def main():
    words = argparse.ArgumentParser()
    words.add_argument("--demo", required=True)
    words.add_argument("--folder", required=True, type=pathlib.Path)
    words.add_argument("--trials", type=int, default=50_000)
    words.add_argument("--optuna-dashboard", default="optuna-dashboard")
    words.add_argument("--repetitions", type=int, default=3)
    words.add_argument("--patience", type=int, default=180, help="seconds for optuna-dashboard to show the study")
    given = words.parse_args()
    store, optuna = given.folder / "store.db", given.folder / "optuna.db"
    serve = lambda *more: subprocess.Popen([given.demo, "--store", store, "--listen", "127.0.0.1:18900", *more],
                                           stdout=subprocess.DEVNULL)

    def stop(process):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()

    ours, theirs = "http://127.0.0.1:18900", "http://127.0.0.1:18901"
    board = f"{ours}/studies/{STUDY}"
    began = time.time()
    server = serve("--trials", str(given.trials), *([] if optuna.exists() else ["--optuna", optuna]))
    wait_for(ours + "/studies", server, 3600)
    print(f"{given.trials} trials of 30 reports and their copy for Optuna in {time.time() - began:.0f} s: "
          f"{store.stat().st_size / 2**20:.0f} and {optuna.stat().st_size / 2**20:.0f} MiB; load {os.getloadavg()[0]:.1f}", flush=True)
    stop(server)

    browser = Browser(18902)
    dashboard = None
    try:
        server = serve()
        wait_for(ours + "/api/v1/openapi.json", server, 60)
        best = "document.querySelector('.lead .figure')?.innerText.startsWith('0.')"
        pages("ours, board after the start", browser, board, best, 1, 120)
        pages("ours, board", browser, board, best, given.repetitions, 120)
        print(f"ours: the server takes {memory_mb(server.pid):.0f} MB", flush=True)
        for name, query in [
            ("board by rank", ""),
            ("last page", f"?offset={given.trials - 100}"),
            ("by learning rate", "?sort=lr"),
            ("by images/s, the greatest first", "?sort=speed&desc=1"),
            ("filter with four conditions", "?filter=lr+%3C+0.1+and+optimizer+%3D+sgd+and+value+%3E+0.8+and+not+schedule+~+cos&sort=value&desc=1"),
            ("full text that nothing has", "?filter=%22nothing%22"),
        ]:
            wrk(f"ours, {name}", board + query, server)
        wrk("ours, JSON of a page", f"{ours}/api/v1/studies/{STUDY}/trials?limit=100", server)
        wrk("ours, page of a trial", f"{board}/trials/{given.trials // 2}", server)
        began = time.time()
        answers = 0
        for figure in ("importance", "contour", "parallel"):
            while True:
                asked = time.time()
                request = urllib.request.urlopen(f"{ours}/api/v1/studies/{STUDY}/figures/{figure}")
                request.read()
                answers = max(answers, time.time() - asked)
                if request.status == 200:
                    break
                time.sleep(0.05)
        print(f"ours, all figures: made {time.time() - began:.1f} s after the first question; no question waited longer than "
              f"{1000 * answers:.0f} ms", flush=True)
        wrk("ours, importance once it is made", f"{ours}/api/v1/studies/{STUDY}/figures/importance", server)
        wrk("ours, contour once it is made", f"{ours}/api/v1/studies/{STUDY}/figures/contour", server)
        drawn = "document.querySelectorAll('.main-svg').length > 0"
        pages("ours, figures", browser, f"{board}/figures", drawn, given.repetitions, 120)
        print(f"ours: the server takes {memory_mb(server.pid):.0f} MB with all figures", flush=True)
        stop(server)

        began = time.time()
        dashboard = subprocess.Popen([given.optuna_dashboard, f"sqlite:///{optuna}", "--port", "18901"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(theirs + "/dashboard/", dashboard, 300)
        shown = "/0\\.9\\d+/.test(document.body.innerText)"
        pages("optuna-dashboard, study", browser, theirs + "/dashboard/studies/1", shown, 1, given.patience)
        print(f"optuna-dashboard: {time.time() - began:.0f} s after its start the server takes {memory_mb(dashboard.pid):.0f} MB", flush=True)
    finally:
        for process in (server, dashboard, browser.driver):
            if process and process.poll() is None:
                stop(process)


main()
