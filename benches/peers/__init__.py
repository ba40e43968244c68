"""The peers: the same counts with what Python users have at hand, and our side of each."""
