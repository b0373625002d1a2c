"""The algorithm: segments to objects, objects to classes, classes to pixels."""
