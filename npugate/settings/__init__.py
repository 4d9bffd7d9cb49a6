"""Every setting of a run: options, configuration, suppressions, baseline."""
