"""The report: one self-contained page about a product, ``report.html``."""
