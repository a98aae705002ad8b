# SPDX-License-Identifier: Apache-2.0
"""Artefacts appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from golden import InputError
from golden.artifacts import (
    canonical_json,
    output_directory,
    read_json,
    read_record,
    record_text,
    sha256_file,
    sha256_of,
    sole_use,
    write_file,
)


def test_contents_arrive_at_the_end(tmp_path):
    out = tmp_path / "a" / "b"
    with output_directory(out) as scratch:
        (scratch / "x").write_text("1")
        (scratch / "folder").mkdir()
        (scratch / "folder" / "y").write_text("2")
        assert not (out / "x").exists()
    assert (out / "x").read_text() == "1"
    assert (out / "folder" / "y").read_text() == "2"
    assert sorted(path.name for path in out.iterdir()) == ["folder", "x"]


def test_a_second_run_replaces_and_keeps_others(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("")
    (tmp_path / "x").write_text("old")
    with output_directory(tmp_path) as scratch:
        (scratch / "x").write_text("new")
        (scratch / "folder").mkdir()
        (scratch / "folder" / "new").write_text("")
    assert (tmp_path / "mine").read_text() == "kept"
    assert (tmp_path / "x").read_text() == "new"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]


def write_half(out, error):
    with output_directory(out) as scratch:
        (scratch / "x").write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_failure_leaves_nothing_behind(tmp_path, error):
    for out, existed in ((tmp_path / "new", False), (tmp_path / "old", True)):
        if existed:
            out.mkdir()
            (out / "x").write_text("before")
        with pytest.raises(error):
            write_half(out, error)
        assert out.exists() == existed
        if existed:
            assert [path.name for path in out.iterdir()] == ["x"]
            assert (out / "x").read_text() == "before"


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"--out .*cannot be written") as raised, output_directory(out):
            pytest.fail("the work began")
        assert "\n" not in str(raised.value)


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for out in (tmp_path / "loop", tmp_path / "loop" / "out"):
        with pytest.raises(InputError, match="cannot be written") as error, output_directory(out):
            pytest.fail("began")
        assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["loop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot be written"), output_directory(tmp_path / "out"):
            pytest.fail("the work began")
    finally:
        tmp_path.chmod(0o700)


def test_no_permission_as_any_user(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("golden.artifacts.tempfile.mkdtemp", refuse)
    with pytest.raises(InputError, match="Permission denied"), output_directory(tmp_path):
        pytest.fail("the work began")


def test_write_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_file(path, "text")
    write_file(path, b"bytes")
    assert path.read_bytes() == b"bytes"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match=rf"^{path}: cannot be written \(No space left on device\); free some space"):
        write_file(path, "more")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"bytes"


def test_threads_that_write_one_file_do_not_meet(tmp_path, monkeypatch):
    path, both, write = tmp_path / "x", threading.Barrier(2), Path.write_bytes

    def slowly(temporary, data):
        write(temporary, data[:1000])
        both.wait(10)  # both files are half written now
        written = write(temporary, data)
        both.wait(10)  # both are whole, and neither is renamed
        return written

    monkeypatch.setattr("golden.artifacts.Path.write_bytes", slowly)
    texts = ["a" * 5000, "b" * 9000]
    with ThreadPoolExecutor(2) as pool:
        for writing in [pool.submit(write_file, path, text) for text in texts]:
            writing.result()
    assert path.read_text() in texts
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode  # what the umask gives


WORKER = """
import sys, time
from pathlib import Path
from golden.artifacts import output_directory, sole_use
from golden.errors import InputError
out, name = Path(sys.argv[1]), sys.argv[2]
{work}
"""


def processes_of(work: str, out: Path) -> list[tuple[int, str]]:
    """Exit code and output of two processes that do the same at the same time, called 0 and 1."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", WORKER.format(work=work), str(out)]
    both = [
        subprocess.Popen([*command, name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name in ("0", "1")
    ]
    return [(one.wait(60), one.communicate()[0]) for one in both]


def test_processes_that_fill_one_directory_leave_what_one_of_them_made(tmp_path):
    """A folder in it included; neither fails."""
    work = """
for _ in range(300):
    with output_directory(out) as scratch:
        (scratch / "folder").mkdir()
        for part in "abcd":
            (scratch / "folder" / part).write_text(name)
"""
    assert processes_of(work, tmp_path / "out") == [(0, ""), (0, "")]
    found = [file.read_text() for file in sorted((tmp_path / "out" / "folder").iterdir())]
    assert found in (["0"] * 4, ["1"] * 4)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["folder"]


def test_a_directory_that_another_process_works_in_is_refused(tmp_path):
    """One gets it, however they meet, and the other is told; what is empty is removed where the work fails."""
    work = """
try:
    with sole_use(out):
        (out / ("begun" + name)).touch()
        time.sleep(3)
        print("done")
except InputError as error:
    print(error)
"""
    told = sorted(output for _, output in processes_of(work, tmp_path / "out"))
    assert told == [
        f"{tmp_path / 'out'}: another run is at work there; wait for its end, or name another directory with --out\n",
        "done\n",
    ]
    assert len(list((tmp_path / "out").iterdir())) == 1
    with pytest.raises(KeyboardInterrupt), sole_use(tmp_path / "a" / "b"):
        raise KeyboardInterrupt
    assert not (tmp_path / "a").exists()
    with sole_use(tmp_path / "out"):  # what a process held that has ended is free
        pass


@pytest.mark.parametrize("writer", [write_file, lambda path, text: path.write_text(text)], ids=["write_file", "write_text"])
def test_a_full_disk_is_one_line_that_names_out(tmp_path, monkeypatch, writer):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("golden.artifacts.Path.write_bytes", full)
    monkeypatch.setattr("golden.artifacts.Path.write_text", full)
    out = tmp_path / "out"
    with pytest.raises(InputError) as raised, output_directory(out) as scratch:
        writer(scratch / "x", "text")
    name = "/x" if writer is write_file else ""
    reason = "cannot be written (No space left on device); free some space or name another directory"
    assert str(raised.value) == f"--out {out}{name}: {reason}"
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), output_directory(tmp_path / "out"):
        (tmp_path / "missing").read_bytes()


def test_hashes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert sha256_of({"b": 1, "a": [1, 2]}) == sha256_of({"a": [1, 2], "b": 1}) != sha256_of({"a": [2, 1], "b": 1})
    assert canonical_json({"b": 1, "a": 2}).index('"a"') < canonical_json({"b": 1, "a": 2}).index('"b"')
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_records(tmp_path):
    path, facts = tmp_path / "record.json", {"area": 1.5, "cells": {"INV": 2}}
    assert read_record(path) is None
    write_file(path, record_text(facts))
    assert read_record(path) == facts
    kept = path.read_text()
    for content in (
        kept.replace("1.5", "2.5"),
        kept[:-9],
        "",
        "[]",
        "{}",
        "null",
        '{"facts": 1}',
        "[" * 100_000,
        '{"sha256": 1, "facts": 1}',
    ):
        path.write_text(content)
        assert read_record(path) is None, content[:50]


def test_json_that_nests_too_deep(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match="nests too deep"):
        read_json(tmp_path / "deep.json")
