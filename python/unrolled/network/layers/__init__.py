"""The layer methods of `unrolled.Network`, one mixin class a family."""
