"""Another package adds a page with one file and an entry point, and nothing else."""

import sys
import textwrap

import pytest

from workbench import registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a maker of an installed package of one file: ``package(group, "toy:THING", source)``.

    It is what an installer leaves: a module on the path, and metadata that names its entry point.
    """

    def make(group, target, source, *, module="toy"):
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{module} = {target}\n")
        monkeypatch.syspath_prepend(tmp_path)
        sys.modules.pop(module, None)  # an earlier test's
        registry.names.cache_clear()
        return tmp_path

    yield make
    registry.names.cache_clear()


PAGE = """
    import panel as pn

    from workbench.views.site.entry import PageEntry

    PAGE = PageEntry("toy", "Toy page", 45, lambda page: pn.pane.Markdown("A toy."), plotly=False)
"""


def test_a_page_is_one_file(package, monkeypatch):
    from served import Served

    from workbench.views.site import pages

    package("sleep_workbench.pages", "toy:PAGE", PAGE)
    pages.pages.cache_clear()
    try:
        served = Served()
        try:
            status, text = served.get("/toy")
            links = [page.link for page in pages.pages()]
            shown = pages.build("toy")
        finally:
            served.stop()
    finally:
        pages.pages.cache_clear()
    assert status == 200 and "<title>Toy page - Sleep workbench</title>" in text
    assert links.index("attribution") < links.index("toy") < links.index("instruments")
    assert 'href="toy" aria-current=page' in shown.header[0].object
    assert shown.main[0].object == "A toy."


@pytest.mark.parametrize(
    ("target", "source", "token"),
    [
        ("toy:PAGE", "PAGE = 1", "is a int"),
        ("toy:PAGE", "raise ValueError('broken')", "broken"),
        ("toy:NONE", "PAGE = 1", "NONE"),
        ("toy:PAGE", PAGE.replace('"toy"', '"memory"'), "'memory'"),
        ("toy:PAGE", PAGE.replace('"toy"', '"../toy"'), "../toy"),
    ],
)
def test_a_package_that_does_not_fit_is_named(package, target, source, token):
    from workbench.errors import WorkbenchError
    from workbench.views.site import pages

    package("sleep_workbench.pages", target, source)
    pages.pages.cache_clear()
    try:
        with pytest.raises(WorkbenchError, match=token):
            pages.pages()
    finally:
        pages.pages.cache_clear()


def test_two_packages_with_one_name_are_refused(package):
    from workbench.errors import WorkbenchError

    folder = package("sleep_workbench.pages", "toy:PAGE", PAGE)
    other = folder / "second-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[sleep_workbench.pages]\ntoy = second:PAGE\n")
    with pytest.raises(WorkbenchError, match="second"):
        registry.names("sleep_workbench.pages")
