"""Training: honest splits, candidates, decisions in money, and bundles that prove themselves."""
