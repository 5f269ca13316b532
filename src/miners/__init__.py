"""Miners that pytorch-metric-learning lacks; those that it has are named in conf/miner."""
