"""What each request meets before and around its route: identity, limits of its body, admission."""
