"""Settings, read from the environment once and passed on; never imported as a global."""

from service.settings.environment import misspelt, read_settings, renamed
from service.settings.fields import PREFIX, Settings
from service.settings.types import Duration, KafkaSecurity, OutputFormat, TopicList

__all__ = [
    "PREFIX",
    "Duration",
    "KafkaSecurity",
    "OutputFormat",
    "Settings",
    "TopicList",
    "misspelt",
    "read_settings",
    "renamed",
]
