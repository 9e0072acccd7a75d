"""A simulated benchmark: drawn pictures, written questions and invented outcomes.

Nothing here was measured. The names, the prices of completion tokens and three
accuracies per data set (one of a text-only data set) are those of the MMR-Bench
paper; everything else is made up so that a router has something to find.
"""
