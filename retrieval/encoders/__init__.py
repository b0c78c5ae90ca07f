"""Models: the contract of an encoder, its runtimes, and the bundles that models travel in."""
