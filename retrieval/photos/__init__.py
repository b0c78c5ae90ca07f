"""A photo: decoded whatever it is, kept as ShopLens keeps it, and made ready for a model."""
