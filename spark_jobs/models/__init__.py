"""Model bundles: which models there are, and what of one goes into its bundle, checked and measured."""
