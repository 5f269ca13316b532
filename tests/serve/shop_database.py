"""The shop's side of the store: its table, and what it writes there."""

from typing import Any

from sqlalchemy import create_engine, text

from tests.search.small_bundle import Shop

_TABLE = "CREATE TABLE items (item_id TEXT PRIMARY KEY, price DOUBLE PRECISION, in_stock BOOLEAN)"


def items_of(shop: Shop) -> dict[str, dict[str, Any]]:
    """Each item's price and stock, as any of its images has them; a price that is no number is null."""
    return {
        row["item_id"]: {"price": None if row["price"] != row["price"] else row["price"], "in_stock": row["in_stock"]}
        for row in shop.rows()
    }


def execute(url: str, *statements: str, rows: list[dict[str, Any]] | None = None) -> None:
    """Run statements in one transaction; the last one for each of `rows`, where there are some."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for number, statement in enumerate(statements, start=1):
            connection.execute(text(statement), rows if rows and number == len(statements) else None)
    engine.dispose()


def make_table(url: str, shop: Shop) -> None:
    """Make the table anew, with the bundle's own values."""
    rows = [{"item_id": name, **values} for name, values in items_of(shop).items()]
    insert = "INSERT INTO items (item_id, price, in_stock) VALUES (:item_id, :price, :in_stock)"
    execute(url, "DROP TABLE IF EXISTS items", _TABLE, insert, rows=rows)


def write(url: str, item_id: str, **values: Any) -> None:
    """Change columns of one item."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    execute(url, f"UPDATE items SET {columns} WHERE item_id = :item_id", rows=[{"item_id": item_id, **values}])
