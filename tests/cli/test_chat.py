"""The command `chat`: read, sleep, ask, look, save, forget and erase, from piped input."""

import io
import shutil

import pytest
import torch
from tiny import trained_tokenizer

from workbench.backbones.text import PLAIN, turns_of
from workbench.notebook.streams import open_stream

TEXT = "Cyrus begat Mokun; and the sons of Mokun were Zarel and Ormuz. And Zarel begat Quill."
CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You help.<|im_end|>\n{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + "
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def chat(run, monkeypatch):
    """Return what runs lines of a chat: ``chat(model, lines, *options)`` to (code, out, err)."""

    def talk(model, lines, *options):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
        return run("chat", model, *options)

    return talk


def test_an_answer_is_that_of_a_stream(chat):
    code, out, err = chat("text-names", [TEXT, "/sleep 3", "Who begat Quill?"], "--tokens", 12)
    stream = open_stream("text-names")
    stream.feed(TEXT + "\n")
    stream.sleep_now(3)
    stream.feed("Who begat Quill?\n")
    assert (code, out) == (0, "".join(stream.write(12)) + "\n")
    assert "3/3" in err and "pass asleep" in err


def test_a_chat_from_saving_to_erasing(chat, tmp_path):
    kept, page = tmp_path / "kept.safetensors", tmp_path / "sleep.html"
    lines = [
        TEXT,
        "/sleep",
        f"/save {kept}",
        "/fork other",
        "/private Their code is 77-Zarel-9.",
        "/memory",
    ]
    lines += [f"/show {page} 1", "/forget Zarel", "/switch other", "/memory", "/erase", "/memory"]
    lines += [f"/load {kept}", "/memory", "/help"]
    code, out, _ = chat("text-names", lines)
    assert code == 0
    norms = [
        line.split()[-1] for line in out.splitlines() if line.startswith("1      4x24x24, 9.0 kB")
    ]
    assert norms[0] == norms[1] == norms[3] and float(norms[0]) > 1 and float(norms[2]) == 0
    assert "13 private; 13 characters" in out and "0 of 64 tokens, 0 private" in out
    assert "still unlike never read" in out and "never read" in out
    assert "/private TEXT" in out
    assert "text-names: the newest sleep" in page.read_text() and page.stat().st_size > 100_000


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["/dance"], (), "no command /dance"),
        (["/sleep many"], (), "'many' is not a valid N"),
        (["/show x.html"], (), "nothing to show"),
        (["/show x.txt"], (), "a file NAME.html"),
        (["/forget Zarel"], (), "a text that was not slept on: 'Zarel'"),
        (["/load missing.safetensors"], (), "missing.safetensors not found"),
        (["/save"], (), "no file name"),
        (["/fork main"], (), "a new name; names so far: main"),
        (["/switch other"], (), "/switch other; expected main"),
        (["Señor?"], (), "printable ASCII"),
        ([], ("--temperature", "-1"), "'-1' is not a valid temperature"),
        ([], ("--loop", "3"), "'3' is not a range of blocks"),
        ([], ("--loop", "0:9"), r"sleep.loop = \(0, 9\)"),
        ([], ("--window", "1"), "'1' is not a valid window"),
    ],
)
def test_a_mistake_is_one_line(refused, monkeypatch, lines, options, message):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    refused("chat", "text-names", *options, match=message)


def test_a_chat_template_is_put_around_what_is_said():
    turns = turns_of(CHATML, "<|im_end|>")
    assert turns.first == "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\n"
    assert turns.between == "<|im_end|>\n<|im_start|>user\n"
    assert turns.answer == "<|im_end|>\n<|im_start|>assistant\n"
    assert turns_of(None, None) == PLAIN


@pytest.fixture
def pretrained(tmp_path):
    """A tiny random model of transformers with inserted nothing, tokenizer and chat template."""
    from tiny_backbones import configured
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    folder = tmp_path / "tiny"
    AutoModelForCausalLM.from_config(configured("qwen3_5", 420)).save_pretrained(folder)
    trained_tokenizer(folder / "tokenizer.json", texts=[TEXT])
    (folder / "chat_template.jinja").write_text(CHATML)
    return folder


def test_a_pretrained_folder_talks_in_its_template(chat, pretrained, tmp_path):
    lines = [TEXT, "/sleep", "Who begat Quill?", "/memory", f"/show {tmp_path / 'x.html'}"]
    options = "--window", 256, "--passes", 2, "--loop", "0:2", "--tokens", 8
    code, out, err = chat(str(pretrained), lines, *options)
    assert code == 0 and "licence: none" in err.lower()
    stream = open_stream(pretrained, window=256, passes=2, loop=(0, 2))
    turns = stream.text.turns
    stream.feed(turns.first + TEXT + "\n")
    stream.sleep_now()
    stream.feed("Who begat Quill?" + turns.answer)
    stop = [int(stream.text.encode(turns.between)[0])]
    assert out.startswith("".join(stream.write(8, stop=stop)) + "\n")
    assert (tmp_path / "x.html").stat().st_size > 100_000
    (pretrained / "chat_template.jinja").write_text("{{ nothing ")
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    assert chat(str(pretrained), [])[0] == 2
