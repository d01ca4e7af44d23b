"""What differs between the configurations of runs."""

from workbench.lab.compare import differences


def test_only_what_differs_is_listed(tmp_path):
    for name, passes, layers in (("a", "1", '["attention"]'), ("b", "4", '["attention"]')):
        (tmp_path / name).mkdir()
        text = f"[sleep]\npasses = {passes}\nwindow = 8\n[model]\nlayers = {layers}\n"
        (tmp_path / name / "experiment.toml").write_text(text)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "experiment.toml").write_text(
        '[sleep]\nwindow = 8\n[sleep.passes]\nkind = "random"\nlow = 1\n[model]\n'
        'layers = ["attention", "jet"]\ncompile = true\n'
    )
    (tmp_path / "d").mkdir()
    found = differences(tmp_path / name for name in "abcd")
    assert found.runs == ("a", "b", "c") and found.unreadable == ("d",)
    assert found.rows == {
        "sleep.passes": ("1", "4", "-"),
        "model.layers": ("attention", "attention", "attention, jet"),
        "sleep.passes.kind": ("-", "-", "random"),
        "sleep.passes.low": ("-", "-", "1"),
        "model.compile": ("-", "-", "true"),
    }
    assert found.same == 1


def test_one_run_differs_from_nothing(tmp_path):
    (tmp_path / "experiment.toml").write_text("[sleep]\nwindow = 8\n")
    assert differences([tmp_path]).rows == {}
    assert differences([]).rows == {}
