"""Decision: what to run under a budget, and a router that is taken away and used."""
