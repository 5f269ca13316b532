"""The embedding cache: photos seen before are neither decoded nor embedded again."""
