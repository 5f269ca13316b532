"""Hydra finds its plug-ins in the namespace `hydra_plugins` only."""
