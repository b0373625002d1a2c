"""The disk: scenes, stores, products. Never a network."""
