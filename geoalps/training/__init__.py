"""Training of the models that ``regions`` comes with, on made chips alone: ``python -m geoalps.training``.

:mod:`affinity` trains the network that says where a border of two whole things lies, :mod:`choice` the scorer that
says which regions look like one thing each, over trees that the first model built. No photograph is used, no label.
"""
