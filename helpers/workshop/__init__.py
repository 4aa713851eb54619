"""What makes the series: `python -m helpers.workshop.<name>`."""
