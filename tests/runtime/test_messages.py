"""Messages become one clean, short line with the important part."""

from __future__ import annotations

import pytest

from smpatch.runtime.messages import last_words, one_line, without_frames


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\tb\r\n  c", "a b c"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07after", "after"),
        ("bell\x07 del\x7f csi\x9b31m", "bell del csi 31m"),
        ("left\u202eright", "left right"),
        ("lone \udc80 half", "lone half"),
        ("déjà vu ✓", "déjà vu ✓"),
        ("", ""),
    ],
)
def test_one_line_has_no_controls(text: str, line: str) -> None:
    assert one_line(text) == line


def test_one_line_is_bounded_and_says_so() -> None:
    assert one_line("x" * 50, 10) == "xxxxxxx..."
    assert one_line("x" * 10, 10) == "x" * 10
    assert len(one_line("word " * 1_000_000)) == 1000


OLD = b"2024-05-06 07:08:09.123456: "
NEW = b"0000 00:00:1795369614.574873    6399 "


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"", ""),
        (OLD + b"I tensorflow/a.cc:1] hello\n", ""),
        (b"W" + NEW + b"port.cc:153] hello\n", ""),
        (OLD + b"F tensorflow/a.cc:1] Check failed: x\n", "Check failed: x"),
        (
            b"F" + NEW + b"a.cc:1] Check failed: x\n*** Check failure stack trace: ***\n",
            "Check failed: x",
        ),
        (b"F" + NEW + b"a.cc:1] reason\nE" + NEW + b"b.cc:1] later\n", "reason"),
        (b"E" + NEW + b"cuda_platform.cc:52] failed call to cuInit\n", ""),
        (b"free(): invalid pointer\n", "free(): invalid pointer"),
        (b"    @     0x7f0e1d abort\nPC: @ 0x1 raise\n", ""),
        (
            b'Traceback (most recent call last):\n  File "a.py", line 1, in f\nMemoryError\n',
            "MemoryError",
        ),
        (b"WARNING: All log messages before absl::InitializeLog() is called\n", ""),
        (b"one\ntwo\nthree\nfour\n", "two / three / four"),
        (b"\x1b[1m\xff\xfe\x00bad\x1b[0m\n", "\ufffd\ufffd bad"),
    ],
)
def test_last_words(output: bytes, words: str) -> None:
    assert last_words(output) == words


def test_last_words_are_bounded() -> None:
    assert len(last_words(b"y" * 100_000)) == 400


def test_frames_of_the_process_that_asked_do_not_hide_what_failed() -> None:
    said = (
        "Graph execution error:\n\n"
        "Detected at node save/RestoreV2 defined at (most recent call last):\n"
        '  File "/somewhere/child_main.py", line 168, in <module>\n\n'
        "<stack traces unavailable>\n"
        "Failed to find any matching files [[{{node save/RestoreV2}}]]"
    )
    assert one_line(without_frames(said)) == (
        "Failed to find any matching files [[{{node save/RestoreV2}}]]"
    )
    assert without_frames("Graph execution error:") == "Graph execution error:"
