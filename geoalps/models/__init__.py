"""The networks and the methods without one: arrays in, arrays out."""
