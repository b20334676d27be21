"""Command lines as people type them: usage, keys, messages, consoles."""

import os
import shutil
import subprocess
import sys

import pytest
from shell import AT_A_TERMINAL, assert_refused, hidden, names


def test_output_that_nobody_reads_on(files):
    """As in `| head`, when that has ended."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "steglib", "inspect", *files], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert done.returncode == 141 and not done.stderr


def test_without_stderr(tmp_path, files):
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-m", "steglib", "hide", *files, "-o",
         tmp_path / "stego.png"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "cover PSNR" in done.stdout


def test_a_console_that_cannot_print_a_name(tmp_path, files, run_python):
    cover, stego = tmp_path / "\u00e4\u732b.png", tmp_path / "stego.png"
    shutil.copy(files[0], cover)
    arguments = ["-m", "steglib", "hide", cover, tmp_path / "\u732b.png", "-o", stego]
    done = run_python(*arguments, PYTHONIOENCODING="ascii")
    assert done.returncode == 2 and "\\u732b.png was not found" in done.stderr
    done = run_python("-m", "steglib", "inspect", cover, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "\\xe4\\u732b.png: PNG, 64\\xd748 pixels" in done.stdout


@pytest.mark.parametrize("command", ["hide", "reveal", "inspect"])
def test_help_has_examples_and_exit_codes(run_python, command):
    done = run_python("-X", "importtime", "-m", "steglib", command, "--help")
    assert done.returncode == 0 and f"\n  steglib {command} " in done.stdout
    assert all(words in done.stdout for words in ("exit codes: 0 done", "3 nothing to reveal"))
    assert "steglib.tool.commands" in done.stderr
    assert not {"keras", "tensorflow", "pandas"} & imported(done.stderr)


def imported(importtime):
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in importtime.splitlines()}


def test_hide_inspect_and_reveal_do_without_keras(tmp_path, files, run_python):
    stego, revealed = tmp_path / "stego.png", tmp_path / "revealed.png"
    hide, reveal = ["hide", *files, "-o", stego], ["reveal", stego, "-o", revealed]
    for command in (hide, ["inspect", stego], reveal):
        done = run_python("-X", "importtime", "-m", "steglib", *command)
        assert done.returncode == 0 and "numpy" in imported(done.stderr)
        assert not {"keras", "tensorflow", "pandas"} & imported(done.stderr)


def test_wrong_usage_is_exit_code_2(run_steglib):
    for arguments in (["hide", "cover.png"], ["hide", "a", "b"], ["reveal"], ["inspect"], []):
        code, _, error = run_steglib(*arguments)
        assert code == 2 and "usage: steglib" in error and "Traceback" not in error


@pytest.mark.parametrize(
    "options, word",
    [
        (["--rate", "1", "--base", "3"], "not allowed with"),
        (["--base", "3", "--rate", "auto"], "not allowed with"),
        (["--rate", "auto", "--base", "3"], "not allowed with"),
        (["--rate", "much"], "'much'"),
        (["--rate", ""], "--rate"),
        (["--base", "2.5"], "--base"),
    ],
)
def test_rates_and_bases_that_make_no_sense(tmp_path, files, run_steglib, options, word):
    code, _, error = run_steglib("hide", *files, "-o", tmp_path / "stego.png", *options)
    assert code == 2 and "usage: steglib hide" in error and word in error
    assert "_" not in error.splitlines()[-1]
    assert not (tmp_path / "stego.png").exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_empty_keys_are_refused(tmp_path, files, steglib, content):
    key, stego = tmp_path / "key.txt", tmp_path / "stego.png"
    key.write_bytes(content)
    assert_refused(steglib("hide", *files, "-o", stego, "--key-file", key), 2, "key is empty")
    assert not stego.exists()


def test_unreadable_key_file(tmp_path, files, run_steglib):
    for key in (tmp_path / "missing.txt", tmp_path):
        result = run_steglib("hide", *files, "-o", tmp_path / "stego.png", "--key-file", key)
        assert_refused(result, 2, f"key file {key} cannot be read")
    assert not (tmp_path / "stego.png").exists()


def test_pass_phrases_at_a_terminal(tmp_path, files, run_python):
    stego, other = tmp_path / "stego.png", tmp_path / "other.png"

    def at_a_terminal(answers, *arguments):
        done = run_python("-c", AT_A_TERMINAL, answers, *arguments, "--key-prompt")
        assert not done.stderr and not any(answer in done.stdout for answer in answers.split(","))
        return done.returncode, done.stdout

    decomposed, composed = "a\u0308pfel", "\u00e4pfel"  # as one system types it, and another
    code, said = at_a_terminal(f"{decomposed},{decomposed}", "hide", *files, "-o", stego)
    assert code == 0 and "Once more: " in said and "No key" not in said
    assert hidden(stego, composed.encode()).size == (40, 40)
    code, said = at_a_terminal(composed, "inspect", stego)
    assert code == 0 and "with a key" in said and "Once more" not in said
    code, said = at_a_terminal("first,second", "hide", *files, "-o", other)
    assert code == 2 and "steglib: The two pass phrases differ: nothing was hidden." in said
    assert not other.exists()


def test_nobody_answers_the_prompt(tmp_path, files):
    done = subprocess.run(
        [sys.executable, "-m", "steglib", "hide", *files, "-o", tmp_path / "s.png", "--key-prompt"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,  # without a terminal
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.endswith("steglib: There is no terminal for the prompt: use --key-file.\n")
    assert names(tmp_path) == ["cover.png", "secret.png"]
