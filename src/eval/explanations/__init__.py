"""Maps of the parts that make two images similar, and checks of these maps."""
