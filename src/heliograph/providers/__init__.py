"""Plan → Reply: one file per upstream; `calling.py` alone retries and sleeps."""
