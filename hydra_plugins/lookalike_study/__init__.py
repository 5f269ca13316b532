"""The plug-in of the sweeper; Hydra finds plug-ins in the namespace `hydra_plugins` only."""
