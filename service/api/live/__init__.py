"""The live stream: one reader of the topic of results, and many clients that hear of what they asked for."""
