"""The parts of the reader of JAX models, and its rules by subject."""
