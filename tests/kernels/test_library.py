"""How the C++ sources become a library: once, whole, and safe from other users."""

import ctypes
import os
import platform
import shlex
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
import torch
from rule_inputs import drawn

from sleep_kernels import backend_status, choose_backend, gated_delta_rule, rms_norm
from sleep_kernels.native import library, structures

pytestmark = pytest.mark.process

NOTHING = 'for last; do :; done; echo nothing > "$last"'
COMPILER = '#!/bin/sh\nif [ "$1" = --version ]; then echo {version}; exit; fi\n{rest}\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder for compilers and a cache; what is loaded is not remembered."""
    monkeypatch.setenv(library.FOLDER, str(tmp_path / "cache"))
    monkeypatch.delenv(library.SWITCH, raising=False)
    monkeypatch.setattr(library, "_loaded", library._loaded.__wrapped__)
    return tmp_path


@pytest.fixture
def compiler(place, monkeypatch):
    """Return a maker of compilers from shell lines; $CXX names the last one made."""

    def make(rest, version="1.0"):
        path = place / "compiler"
        path.write_text(COMPILER.format(version=version, rest=rest))
        path.chmod(0o700)
        monkeypatch.setenv("CXX", str(path))
        return path

    return make


def refused(message):
    found = library.problem()
    assert found is not None and message in found, found
    with pytest.raises(RuntimeError, match="backend 'native' cannot serve: .*; use backend='auto'"):
        library.library()
    assert choose_backend("auto", torch.device("cpu")) == "cpu"


@pytest.mark.parametrize("word", ["0", "off", "False"])
def test_it_can_be_switched_off(place, monkeypatch, capfd, word):
    monkeypatch.setenv(library.SWITCH, word)
    refused(f"it is switched off by SLEEP_KERNELS_NATIVE={word}")
    assert capfd.readouterr().err == ""


def test_the_reason_is_reported_once(place, monkeypatch, capfd):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(library, "_loaded", cache(library._loaded))
    for _ in range(3):
        library.problem()
    assert capfd.readouterr().err.count("PyTorch serves instead of native kernels: no C++") == 1


def test_a_failure_to_link_is_recorded_too(compiler, stub):
    """A C compiler's driver brings no C++ library."""
    driver = shutil.which("gcc") or shutil.which("clang")
    if driver is None or platform.system() != "Linux":
        pytest.skip("needs a C compiler on Linux")
    place = compiler(stub.replace(library.find_compiler()[0], driver)).parent
    refused("cannot compile it (")
    (failed,) = kept(place)
    refused(f"delete {failed} to try again")


@pytest.mark.parametrize("named", ["no-such-compiler", "g++ '", "", " ", "\t"])
def test_no_compiler_is_a_reason(place, monkeypatch, named):
    """A name that leads to none, quotes that do not match; a blank name counts as unset."""
    monkeypatch.delenv("CXX", raising=False)
    usual = library.find_compiler()
    monkeypatch.setenv("CXX", named)
    blank = not named.strip()
    assert library.find_compiler() == (usual if blank else None)
    monkeypatch.setenv("PATH", str(place))
    assert library.compiler_line() is None
    fix = "install one of g++, clang++, c++" if blank else f"$CXX is {named!r}"
    refused(f"no C++ compiler was found; {fix}")


def kept(place):
    """Return what lies in the cache, but for the lock."""
    return sorted(path for path in (place / "cache").iterdir() if path.name != "lock")


def test_a_compiler_that_fails_is_quoted_and_not_tried_again(compiler, place):
    """It is tried with each of the names for this processor, once."""
    log = place / "log"
    compiler(f'echo "$@" >> {log}; echo "error: unknown builtin" >&2; exit 1')
    refused("cannot compile it (error: unknown builtin); use g++ 12 or newer, or clang")
    (failed,) = kept(place)
    assert library.LIBRARY.fullmatch(failed.name), "its own old files are found by this"
    refused(f"or clang; delete {failed} to try again")
    tried = log.read_text().splitlines()
    assert ["-march=native" in tried[0], "-mcpu=native" in tried[1]] == [True, True]
    assert len(tried) == 2


def test_a_compiler_whose_output_is_not_utf_8_is_quoted(compiler):
    compiler("printf 'error: \\351\\n' >&2; exit 1", version="$(printf '\\351')")
    refused("cannot compile it (error: \N{REPLACEMENT CHARACTER})")


def test_a_compiler_that_never_ends_is_stopped(compiler, monkeypatch):
    monkeypatch.setattr(library, "COMPILE_SECONDS", 0.2)
    compiler("exec sleep 60")
    refused("did not finish within 0.2 seconds")


def test_a_command_of_several_words(place, monkeypatch):
    monkeypatch.setenv("CXX", "env A=1 g++")
    found = library.find_compiler()
    assert found is not None and found[1:] == ["A=1", "g++"]


def test_a_file_that_is_not_a_library_is_refused(compiler):
    compiler(NOTHING)
    refused("its library cannot be built")


def test_a_folder_that_others_may_write_is_refused(place):
    cache = place / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    refused("other users can write to")
    cache.chmod(0o700)
    place.chmod(0o777)  # where another folder could be put in its place
    refused(f"anyone can write to {place}")


def test_a_folder_that_cannot_be_made_is_a_reason(compiler, place, monkeypatch):
    compiler("exit 1")
    (place / "file").write_text("")
    monkeypatch.setenv(library.FOLDER, str(place / "file" / "cache"))
    refused("its folder cannot be made")

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(library.FOLDER)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(library.Path, "home", no_home)
    refused("its folder cannot be made (Could not determine home directory.)")


def test_the_name_tells_flags_processor_and_compiler_apart(compiler, place, monkeypatch):
    compiler(NOTHING)
    library._built()
    compiler(NOTHING, version="2.0")
    library._built()
    monkeypatch.setattr(library, "_processor", lambda: "another")
    library._built()
    monkeypatch.setattr(library, "FLAGS", ())
    library._built()
    assert len(kept(place)) == 4


SIZES = "".join(
    f"long long size_of_{name}() {{ return *new long long({ctypes.sizeof(structure)}); }}\n"
    for name, structure in structures.ALL.items()
)


@pytest.fixture
def stub(place, requires_native):
    """Return the line of a compiler that compiles a tiny library in place of the sources."""
    source = place / "stub.cpp"
    source.write_text(f'extern "C" {{\n{SIZES}}}\n')
    edit = f"sed 's#[^ ]*library.cpp#{source}#; s/-O3/-O0/'"
    return f'exec {shlex.join(library.find_compiler())} $(echo "$@" | {edit})'


@pytest.fixture
def quick(compiler, stub):
    """Return a compiler that works and is quick."""
    return compiler(stub)


def test_it_is_compiled_once_and_only_for_its_user(quick, place, capfd):
    assert library.problem() is None
    assert "compiling for this processor into" in capfd.readouterr().err
    (built,) = kept(place)
    assert os.stat(place / "cache").st_mode & 0o077 == built.stat().st_mode & 0o077 == 0
    before = built.stat().st_ino
    assert library.problem() is None
    assert built.stat().st_ino == before and capfd.readouterr().err == ""


def test_threads_wait_for_the_one_that_compiles(quick, place, monkeypatch, capfd):
    monkeypatch.setattr(library, "_loaded", cache(library._loaded))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: library.problem(), range(8))) == [None] * 8
    assert capfd.readouterr().err.count("compiling") == 1


def test_without_its_compiler_a_library_still_serves(quick, monkeypatch):
    assert library.problem() is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert library.problem() is None


def test_a_damaged_library_is_made_again(quick, place):
    library._built()
    (built,) = kept(place)
    built.write_bytes(b"")
    assert library.problem() is None
    assert built.stat().st_size > 1000


@pytest.mark.parametrize("mode", [0o722, 0o702])
def test_a_library_that_others_may_write_is_refused(compiler, place, mode):
    compiler(NOTHING)
    library._built()
    (built,) = kept(place)
    built.chmod(mode)
    refused(f"other users may have written {built}; delete it, or set SLEEP_KERNELS_CACHE")


def test_only_its_own_old_files_are_removed(compiler, place):
    cache, of_user = place / "cache", place / "thesis"
    for folder in (cache, of_user):
        folder.mkdir(mode=0o700)
    (of_user / "chapter").write_text("")
    name = f"sleep-kernels-{'0' * 16}-{'a' * 16}"
    own = [f"{name}.so", f"{name}.failed", "sleep-kernels-aside-abcd_123/"]
    other = ["tmp-thesis/", "tmpabcd1234/", "tmp.txt", "sleep-kernels-notes.so", "other"]
    other += [f"sleep-kernels-{'0' * 16}-{'a' * 15}g.so", f"{name}.so.txt", f"my-{name}.so"]
    other += [f"{name[:-1]}b.so/", "sleep-kernels-aside-abcd_1234/", f"{name[:-1]}c.so->"]
    new = [f"{name[:-1]}d.so"]
    long_ago = time.time() - 40 * 86_400
    for each in (*own, *other, *new):
        path = cache / each.rstrip("/->")
        if each.endswith("/"):
            path.mkdir()
            (path / "file").write_text("")
        elif each.endswith("->"):
            path.symlink_to(of_user)
        else:
            path.write_text("")
        if each not in new:
            os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    compiler(NOTHING)
    built = library._built()
    left = {each.rstrip("/->") for each in (*other, *new)} | {built.name}
    with tempfile.TemporaryDirectory(prefix=library.ASIDE) as aside:
        assert library.LEFT_ASIDE.fullmatch(os.path.basename(aside))
    assert {p.name for p in kept(place)} == left
    assert (of_user / "chapter").exists() and (cache / "tmp-thesis" / "file").exists()


def test_a_relative_xdg_cache_home_is_ignored(compiler, place, monkeypatch):
    compiler("exit 1")
    monkeypatch.delenv(library.FOLDER)
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setattr(library.Path, "home", lambda: place / "home")
    (place / "stood").mkdir()
    monkeypatch.chdir(place / "stood")
    assert library._folder() == place / "home" / ".cache" / "sleep-workbench"
    assert not list((place / "stood").iterdir())
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "named"))
    assert library._folder() == place / "named" / "sleep-workbench"


def test_a_folder_that_another_could_replace_is_refused(compiler, place, monkeypatch):
    compiler("exit 1")
    (place / "cache").mkdir(mode=0o700)
    place.chmod(0o770)
    monkeypatch.setattr(library, "_alone_in", lambda group: False)
    refused(f"a group can write to {place}")
    monkeypatch.setattr(library, "_alone_in", lambda group: True)
    assert library._folder() == place / "cache"
    place.chmod(0o700)
    stat_of = library.Path.stat

    def of_another(path, **options):
        status = stat_of(path, **options)
        if path != place:
            return status
        return os.stat_result((*status[:4], os.getuid() + 1, *status[5:]))

    monkeypatch.setattr(library.Path, "stat", of_another)
    refused(f"another user can write to {place}")


def test_a_private_group():
    assert library._alone_in(0)
    assert not library._alone_in(2**31 - 5), "a group without a name"


def test_the_folder_may_be_a_relative_path(quick, place, monkeypatch):
    (place / "here").mkdir(mode=0o700)
    monkeypatch.chdir(place / "here")
    monkeypatch.setenv(library.FOLDER, ".")
    assert library.problem() is None


def test_structures_are_compared_with_the_librarys(quick, monkeypatch):
    monkeypatch.setitem(structures.ALL, "turn", ctypes.c_int64)
    refused("its turn has 128 bytes, not 8")


def test_naming_another_backend_compiles_nothing(place, monkeypatch):
    monkeypatch.setattr(library, "_built", lambda: pytest.fail("compiled"))
    x = torch.ones(1, 2, 1, 4)
    for backend in ("cpu", "reference"):
        gated_delta_rule(x, x, x, None, None, backend=backend)


def test_without_it_auto_is_the_plain_form_and_an_explicit_call_is_refused(place, monkeypatch):
    monkeypatch.setenv(library.SWITCH, "0")
    x = torch.ones(1, 2, 1, 4)
    gated_delta_rule(x, x, x, None, None)
    assert choose_backend("auto", x.device) == "cpu"
    for run in (
        lambda: gated_delta_rule(x, x, x, None, None, backend="native"),
        lambda: rms_norm(x, x[0, 0, 0], 0.1, backend="native"),
    ):
        with pytest.raises(RuntimeError, match="switched off by SLEEP_KERNELS_NATIVE=0; use"):
            run()


def test_it_serves_a_cpu_alone():
    assert backend_status("meta")["native"] == "the tensors are on meta; expected a CPU"
    x = torch.ones(1, 2, 1, 4, device="meta")
    with pytest.raises(RuntimeError, match="the tensors are on meta"):
        gated_delta_rule(x, x, x, None, None, backend="native")


@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_narrower_registers_give_the_same(compiler, place, monkeypatch, requires_native, processor):
    """The rule compiled for vectors of 16 and of 32 bytes, whatever this processor has."""
    if platform.machine() != "x86_64" or (
        processor == "haswell" and "avx2" not in library._processor()
    ):
        pytest.skip(f"this processor does not run what is compiled for {processor}")
    part = place / "rule.cpp"
    lines = (library.HERE / "library.cpp").read_text().splitlines(keepends=True)
    part.write_text("".join(x for x in lines if "rule_" in x or not x.startswith("OFFER(")))
    edit = f"sed 's/-march=native/-march={processor}/; s/-O3/-O0/; s#[^ ]*library.cpp#{part}#'"
    search = f"-I{library.HERE}"
    compiler(f'exec {shlex.join([*library.find_compiler(), search])} $(echo "$@" | {edit})')
    monkeypatch.setattr(library, "_loaded", cache(library._loaded))
    for size in ((5, 3), (16, 16), (32, 40)):
        exact = found_by("reference", torch.float64, *size)
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
            for ours, true in zip(found_by("native", dtype, *size), exact, strict=True):
                error = (ours.double() - true).abs().max() / true.abs().max()
                assert error < tolerance, (size, dtype)


def found_by(backend, dtype, keys, values):
    """Return output, and the gradients of a loss of output and state."""
    x = drawn(2, 9, heads=3, keys=keys, values=values, dtype=dtype)
    leaves = [tensor.requires_grad_() for tensor in x.values()]
    found = gated_delta_rule(*leaves, backend=backend)
    loss = found.output.square().sum() + found.state.sin().sum()
    return [found.output, *torch.autograd.grad(loss, leaves)]
