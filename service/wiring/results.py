"""The feed of published results that the API reads."""

from service.kafka.options import common_options
from service.kafka.result_feed import KafkaResultFeed
from service.settings import Settings

__all__ = ["result_feed"]


def result_feed(settings: Settings) -> KafkaResultFeed:
    """Make the reader of the output topic; the broker need not be up yet.

    Parameters
    ----------
    settings
        Name the brokers, their options and the topic.

    Raises
    ------
    SettingsError
        The options cannot be used.
    """
    feed = KafkaResultFeed(common_options(settings), settings.output_topic)
    # It starts reading with the first client, which is too late to report a wrong option.
    feed.check()
    return feed
