"""Target profiles: one TOML file each, read by ``npugate.target``."""
