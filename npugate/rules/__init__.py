"""What a rule and a repair are; load, choose and run them."""
