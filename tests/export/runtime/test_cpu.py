"""What a CPU computes in, read from what Linux says of it."""

from pathlib import Path

import pytest

from src.export.runtime import cpu


@pytest.mark.parametrize(
    ("flags", "avx512", "bf16"),
    [
        ("fma avx2", False, False),
        ("fma avx2 avx512f avx512bw avx512_vnni", True, False),
        ("avx2 avx512f avx512_bf16", True, True),
        ("avx512f amx_bf16 amx_tile amx_int8", True, True),
        ("avx512fp16 avx512_bf16x", False, False),
    ],
)
def test_flags_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, avx512: bool, bf16: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: avx512f avx512_bf16\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    assert (cpu.has_avx512(), cpu.has_bf16()) == (avx512, bf16)


@pytest.mark.parametrize("text", [None, "", "processor\t: 0\n"])
def test_a_system_that_does_not_tell_has_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    assert (cpu.has_avx512(), cpu.has_bf16()) == (False, False)
