"""The mathematics of sampling, in x0 and sigma; it knows no model."""
