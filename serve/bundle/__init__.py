"""The bundle that is served, and its exchange for another one."""
