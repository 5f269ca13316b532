"""Reader of tar shards as WebDataset writes them (https://github.com/webdataset/webdataset)."""
