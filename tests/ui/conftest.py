"""A real Chromium against a real server; whatever goes wrong in the page fails the test."""

import base64
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import plotly
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from waiting import LIMIT, LIMIT_MS

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing leaves the machine, even when a page asks for it; the page fixture reports that.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
LOCAL = {"127.0.0.1", "localhost"}
SIZE: ViewportSize = {"width": 1280, "height": 800}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Everything here drives a browser."""
    if Path(item.path).is_relative_to(Path(__file__).parent):
        item.add_marker("browser")


@pytest.fixture(autouse=True)
def fresh_panel() -> Iterator[None]:
    """Reset Panel's process-wide state, where a test served a component in this process."""
    yield
    if "panel" in sys.modules:
        from panel.io.state import state

        state.reset()


def chromium_path() -> str:
    """Return the system's Chromium; without one skip, or fail in continuous integration."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    found = shutil.which(named or "chromium")
    if found:
        return found
    where = f"$WORKBENCH_CHROMIUM is {named!r}, which is no program" if named else "none on PATH"
    message = f"no Chromium: {where}; install it or set WORKBENCH_CHROMIUM to its path"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


# One a module, not one a session: while it is open, playwright keeps an event loop running in
# this thread, and tests elsewhere that start their own would fail.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what went wrong in it: console errors, failed and foreign requests.

    One a module: a page that stays in its process has the scripts compiled already, and loads in
    half the time.
    """
    problems: list[str] = []
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")

    def check_host(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname not in LOCAL:
            problems.append(f"request to another host: {url}")

    def check_failure(request) -> None:
        # A page that is left drops what it was still loading; that is not a failure.
        if request.failure != "net::ERR_ABORTED":
            problems.append(f"request failed: {request.url}: {request.failure}")

    def check_status(response) -> None:
        if response.status >= 400:
            problems.append(f"request failed: {response.url}: status {response.status}")

    def check_console(message) -> None:
        if message.type == "error":
            problems.append(f"console error: {message.text}")

    page = context.new_page()
    page.on("console", check_console)
    page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
    page.on("websocket", lambda socket: check_host(socket.url))
    context.on("request", lambda request: check_host(request.url))
    context.on("requestfailed", check_failure)
    context.on("response", check_status)
    yield page, problems
    context.close()


@pytest.fixture
def problems(tab: tuple[Page, list[str]]) -> list[str]:
    """What went wrong in the page so far; a test that expects some may look and clear it."""
    return tab[1]


@pytest.fixture
def page(tab: tuple[Page, list[str]]) -> Iterator[Page]:
    """An empty page of 1280 x 800 that remembers nothing; whatever goes wrong fails the test."""
    page, problems = tab
    page.context.clear_cookies()
    page.set_viewport_size(SIZE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(LIMIT_MS)
    problems.clear()
    yield page
    if page.url.startswith("http"):
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.goto("about:blank")
    assert not problems, "in the page:\n" + "\n".join(problems)


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}
COLOURS = {"runOnly": ["color-contrast"]}
"""What axe checks: of a page, and of the same page in its other theme."""
QUICK = {"resultTypes": ["violations"], "preload": False}
"""It keeps no list of what passes and fetches no style sheet again: half of its time."""


@pytest.fixture
def serious_faults() -> Callable[..., list[str]]:
    """Return what axe finds seriously wrong with a page, in the words of its rules."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")

    def found(page: Page, *, only_colours: bool = False) -> list[str]:
        told = axe.Axe().run(page, options=(COLOURS if only_colours else RULES) | QUICK)
        return [
            f"{fault['id']}: {fault['help']} ({node['html'][:200]})"
            for fault in told.response["violations"]
            for node in fault["nodes"]
            if fault["impact"] in ("serious", "critical")
        ]

    return found


@pytest.fixture
def nothing_wrong(serious_faults) -> Callable[[Page], None]:
    """Return the check of a page in both themes, of its headings and at several widths."""

    def check(page: Page) -> None:
        for theme in ("light", "dark"):
            expect(page.locator(f"html[data-theme={theme}]")).to_be_attached()
            assert serious_faults(page, only_colours=theme == "dark") == [], theme
            page.get_by_role("button", name="Light or dark").click()
        levels = [h.evaluate("e => e.tagName") for h in page.get_by_role("heading").all()]
        assert levels.count("H1") == 1
        for width in (1920, 1024, 700):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")

    return check


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            return False
        return True
    return False


def stop(process: subprocess.Popen) -> None:
    """End the server and whatever it started."""
    whole_group = hasattr(os, "killpg")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM) if whole_group else process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
    process.wait(timeout=10)


def run_until_it_answers(command: list[str], folder: Path, url: str, environment: dict):
    """Start a server in a folder, and return its process once it answers."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    deadline = time.monotonic() + LIMIT
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            code = process.returncode
            stop(process)
            state = "does not answer" if code is None else f"ended with code {code}"
            tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
            pytest.fail(f"{' '.join(command)} {state}:\n{tail}", pytrace=False)
        time.sleep(0.2)
    return process


StartServer = Callable[..., tuple[str, subprocess.Popen]]


@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """Return a function that starts ``workbench serve`` in a folder; all are ended afterwards.

    It takes the folder and environment variables, and returns address and process.
    """
    chromium_path()  # no browser, no server
    started: list[subprocess.Popen] = []

    def start(folder: Path, **environment: str) -> tuple[str, subprocess.Popen]:
        port = free_port()
        command = [sys.executable, "-P", "-m", "workbench.cli", "serve", "--no-open"]
        command += ["--address", "127.0.0.1", "--port", str(port)]
        url = f"http://127.0.0.1:{port}"
        started.append(run_until_it_answers(command, folder, url, {**os.environ, **environment}))
        return url, started[-1]

    try:
        yield start
    finally:
        for process in started:
            stop(process)


@pytest.fixture(scope="session")
def server(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of ``workbench serve``, started in an empty folder."""
    return start_server(tmp_path_factory.mktemp("server"))[0]


ROOT = Path(__file__).resolve().parents[2]
TOKEN = "known-to-the-test"
FOLDERS = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR",
)  # fmt: skip
"""What JupyterLab keeps for its user: here a new one, who has chosen nothing yet."""


class JupyterLab(NamedTuple):
    """A JupyterLab that runs."""

    url: str
    process: subprocess.Popen
    notebooks: Path
    token: str = TOKEN


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """``run.py lab``, on copies of the notebooks."""
    chromium_path()  # no browser, no server
    pytest.importorskip("jupyterlab")
    spec = importlib.util.spec_from_file_location("run_py", ROOT / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    home = tmp_path_factory.mktemp("jupyterlab")
    notebooks = home / "notebooks"
    notebooks.mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, notebooks)
    port = free_port()
    given = ["--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    given += [f"--IdentityProvider.token={TOKEN}"]
    command = run.lab_command(Path(sys.executable), given)
    place = next(i for i, part in enumerate(command) if part.startswith("--ServerApp.root_dir="))
    command[place] = f"--ServerApp.root_dir={notebooks}"
    environment = os.environ | run.lab_environment()
    environment |= {name: str(home / name.lower()) for name in FOLDERS}
    url = f"http://127.0.0.1:{port}"
    process = run_until_it_answers(command, home, f"{url}/api", environment)
    yield JupyterLab(url, process, notebooks)
    stop(process)


@pytest.fixture(scope="session")
def current():
    return {"pages": []}


@pytest.fixture
def host(page, current):
    """Return what opens the theatre with a model behind it, and the asks that it got."""
    from theatre_page import open_theatre

    import workbench
    from workbench.theatre.asks import Asks

    asks, asked = Asks(workbench.load), []

    def answer(text):
        ask = json.loads(text)
        asked.append(ask)
        found = asks.answer(ask)._asdict()
        data = base64.b64encode(found.pop("data")).decode()
        return json.dumps(found | {"buffers": [data] if data else []})

    def opened(name="depo-n8-any", passes=2, **extra):
        usual = {"theme": "light", "plotly": "http://localhost:9/plotly.min.js"}
        settings = usual | extra.pop("settings", {})
        scene = asks.scene({"what": "scene", "name": name, "example": 5, "N": passes})
        open_theatre(page, scene, live=True, settings=settings, **extra)
        return asked

    current["host"] = answer
    if page not in current["pages"]:  # pages are used by several tests
        current["pages"].append(page)
        page.expose_function("host", lambda text: current["host"](text))
    file = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    page.route("http://localhost:9/**", lambda route: route.fulfill(path=file))
    return opened
