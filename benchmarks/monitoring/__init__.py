"""What is measured of monitoring: experiments, interleaving, off-policy estimates."""
