-- Current prices and stock, which the shop writes and the service reads for each answer. Further columns are ignored.
CREATE TABLE IF NOT EXISTS items (
    item_id text PRIMARY KEY,
    price double precision,
    in_stock boolean
);
