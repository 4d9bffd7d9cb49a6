"""What a rule says: severities, places, findings, their fingerprints."""
