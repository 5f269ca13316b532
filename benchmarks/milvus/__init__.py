"""Milvus beside the FAISS bundle, and a real Milvus server for tests and benchmarks."""
