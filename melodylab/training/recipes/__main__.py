"""Writes the recipes of the shipped weights anew, from their cards."""

from melodylab.training import shipped

shipped.write()
