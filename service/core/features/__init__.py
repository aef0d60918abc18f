"""Light curves to network input: one featuriser for training and service."""
