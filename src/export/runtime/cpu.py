"""What the CPU's instructions can compute, as Linux reports it."""

from pathlib import Path

__all__ = ["has_avx512", "has_bf16"]

_CPUINFO = Path("/proc/cpuinfo")


def has_avx512() -> bool:
    """Whether the CPU has AVX-512; False where the system does not tell."""
    return "avx512f" in _flags()


def has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 numbers itself, in AMX or AVX-512; False where the system does not tell.

    OpenVINO cannot be asked: it reports bf16 for every CPU with AVX-512, and emulates it where the instructions lack.
    """
    return not _flags().isdisjoint(("amx_bf16", "avx512_bf16"))


def _flags() -> frozenset[str]:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:  # not Linux
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
