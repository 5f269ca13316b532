"""What a shop knows of its items now: price, stock, words. SQLite, or whatever speaks PostgreSQL's protocol."""
