"""Helpers of the pruning notebooks; each module is imported on its own."""
