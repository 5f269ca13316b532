"""Photos from a web address: off unless hosts are named."""
