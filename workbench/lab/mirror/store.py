"""The store that a mirror writes to: its URI, opening it, and its errors in one line."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.training.run_folder import hold

SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "_MLFLOW_TELEMETRY_PRE_WARM_DATABRICKS_SDK": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What keeps MLflow from reporting its use."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""How long an absent server is waited for, where the user's environment does not say."""


def store_uri(named: str) -> str:
    """Return the URI of the named store; a plain path is an SQLite file.

    Raises WorkbenchError for a kind of store that MLflow does not know, or an unusable file.
    """
    scheme, separator, rest = named.partition("://")
    scheme = scheme.partition("+")[0]
    if separator and scheme not in SCHEMES or named.startswith("file:"):
        raise WorkbenchError(
            f"--to {named}",
            f"a path, or a URI that begins with {', '.join(SCHEMES)}",
            "write for example --to sqlite:///mlflow.db (MLflow has given up folders as stores)",
        )
    if separator and scheme != "sqlite":
        return named
    path = Path(rest.removeprefix("/") if separator else named).expanduser().absolute()
    if separator and not rest.startswith("/") or not path.name:
        raise WorkbenchError(
            f"--to {named}", "three slashes and a file", "write for example sqlite:///mlflow.db"
        )
    _check_file(path)
    return f"sqlite:///{path}"


def _check_file(path: Path) -> None:
    """Check that an SQLite file is one or can become one; MLflow would try for a minute."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        writable = os.access(path, os.W_OK)
    except FileNotFoundError:
        head, writable = b"", path.parent.is_dir() and os.access(path.parent, os.W_OK)
    except OSError:
        head, writable = b"", False
    if not writable:
        raise WorkbenchError(
            f"{path} cannot be written to", "a file in a folder that can be", "name another file"
        )
    if head and head != b"SQLite format 3\0":
        raise WorkbenchError(
            f"{path} is not an SQLite file", "a store, or no file yet", "name another"
        )


def open_client(named: str) -> Any:
    """Open a store; a new one gets its tables here, before anyone else opens it.

    Raises WorkbenchError if the extra ``tracking`` is not installed, or the store cannot be opened.
    """
    uri = store_uri(named)
    os.environ.update(QUIET)
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError as error:
        raise WorkbenchError(
            f"the package {error.name!r} is not installed",
            "the extra 'tracking'",
            "pip install -c constraints.txt -e '.[tracking]'",
        ) from None
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # importing it sets its own
    with in_one_line(f"the store {named}"):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def only_mirror(root: Path, named: str) -> Iterator[None]:
    """Hold a folder of runs for mirroring to one store, so that no run is created there twice.

    Raises WorkbenchError if another process mirrors it, or the folder does not exist.
    """
    if not root.is_dir():
        raise WorkbenchError(f"no folder {root}", "a folder of runs", "name it with --runs")
    store = hashlib.sha256(store_uri(named).encode()).hexdigest()[:8]
    taken = (f"another process mirrors {root} to {named}", "one at a time", "let that one go on")
    unwritable = (f"{root} cannot be written to", "room for a lock", "mirror it elsewhere")
    with hold(root / f".mirror-{store}.lock", taken=taken, unwritable=unwritable):
        yield


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, KeyError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise WorkbenchError(
            f"{what}: {said}", "a store that MLflow can write to", "see to it, then mirror again"
        ) from error
