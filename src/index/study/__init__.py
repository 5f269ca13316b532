"""The study: which layout finds how much, how quickly, in how many bytes. Serving does not import it."""
