"""The live stream: one reader of the output topic, and many clients."""
