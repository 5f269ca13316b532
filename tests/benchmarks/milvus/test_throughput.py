"""The benchmark runs and prints a line for each index and number of threads."""

import pytest

from benchmarks.milvus import throughput


def test_it_prints_both_indexes(
    milvus_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILVUS_URI", milvus_uri)
    throughput.main(["--rows", "2000", "--dim", "16", "--queries", "20", "--threads", "1", "2"])
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines[lines.index("threads  index   queries/s  p50 ms  p99 ms  recall@10") + 1 :]]
    assert [line[:2] for line in table] == [["1", "faiss"], ["1", "milvus"], ["2", "faiss"], ["2", "milvus"]]
    assert all(float(line[-1]) > 0.95 for line in table)
