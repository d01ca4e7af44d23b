"""What probes and steering build on: features, folds, regression, scores and directions."""
