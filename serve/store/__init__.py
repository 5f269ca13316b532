"""Current prices and stock, read at query time from a SQL database that the shop writes."""
