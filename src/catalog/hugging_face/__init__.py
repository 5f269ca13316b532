"""Reader of Hugging Face data sets, from a folder of any of their layouts, or by name with the package `datasets`."""
