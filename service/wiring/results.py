"""The feed of published results that the API reads."""

from service.kafka.options import common_options
from service.kafka.result_feed import KafkaResultFeed
from service.settings import Settings

__all__ = ["result_feed"]


def result_feed(settings: Settings) -> KafkaResultFeed:
    """Make the reader of the topic of results; the broker need not be there.

    Raises
    ------
    SettingsError
        The options cannot be used.
    """
    feed = KafkaResultFeed(common_options(settings), settings.output_topic)
    # Nobody reads with it before the first client comes, who is too late to hear of a wrong option.
    feed.check()
    return feed
