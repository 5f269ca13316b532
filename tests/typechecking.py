"""What checks tensor shapes and argument types in tests; a whole number may stand where a float is expected."""

from beartype import BeartypeConf, beartype

__all__ = ["typechecker"]

typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
