"""Where items come from: readers, the built-in shop, splits and the audit of rows."""
