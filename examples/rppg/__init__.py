"""The heart-rate network of the deployment guide, for real."""
