"""What a shop's interactions log says once the rank at which things were shown is accounted for."""
