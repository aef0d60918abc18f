"""The featuriser: from light curves to network input, for training and service alike."""
