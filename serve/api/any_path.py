"""The path convertor `any`: an id in a path may have every character."""

from starlette.convertors import PathConvertor, register_url_convertor

__all__: list[str] = []


class AnyPath(PathConvertor):
    """Starlette's `path` ends at a line break, so that `/v1/items/a%0A` would name the item `a`."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyPath())
