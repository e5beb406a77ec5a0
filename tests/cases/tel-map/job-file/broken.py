def map(key:
