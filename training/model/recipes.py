"""The inputs and layers of the shipped models, and those of arXiv:2502.18558."""

from dataclasses import dataclass, replace

from service.core.alerts import Survey
from service.core.features.featuriser import FeatureSpec, Featuriser, paper_features
from service.core.network.spec import DenseSpec, MetadataSpec, NetworkSpec, paper_network
from training.data.augment import Augmentation
from training.data.labels import LSST_CLASSES, ZTF_CLASSES

__all__ = [
    "BASE_AUGMENTATION",
    "ModelRecipe",
    "lsst_recipe",
    "paper_recipe",
    "survey_recipe",
    "with_classes",
    "ztf_recipe",
]

# Simulations follow their surveys' visits and depths; augmentation covers the remaining differences.
BASE_AUGMENTATION = {
    Survey.ZTF: Augmentation(dim_mag=0.3, drop=0.2, night_drop=0.3, thin=0.2, late=0.0, stretch=0.03),
    Survey.LSST: Augmentation(dim_mag=0.5, drop=0.3, thin=0.1, late=0.2, late_days=60.0),
}

_COMMON_COLUMNS = (
    *("wavelength", "time", "log_time", "log_gap", "flux", "snr", "log_detections", "peak", "relative_flux"),
    *("log_since_peak", "change", "log_change_gap", "colour", "log_colour_gap", "other_wavelength"),
    *("flux_err", "change_rate", "fade_rate", "detection_rate"),
)
_ZTF_COLUMNS = (
    *_COMMON_COLUMNS,
    *("is_g", "is_r", "is_i", "last_g", "last_r", "log_age_g", "log_age_r", "colour_gr"),
)
_LSST_COLUMNS = (
    *_COMMON_COLUMNS,
    *(f"is_{band}" for band in "ugrizy"),
    *(f"last_{band}" for band in "ugrizy"),
    *(f"log_age_{band}" for band in "ugrizy"),
    *(f"colour_{pair}" for pair in ("ug", "gr", "ri", "iz", "zy")),
)


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """A model's survey, classes, input and network.

    Attributes
    ----------
    survey
        Whose light curves it reads.
    classes
        Names of the outputs, in order.
    features
        The columns of its input.
    network
        Its layers.
    """

    survey: Survey
    classes: tuple[str, ...]
    features: FeatureSpec
    network: NetworkSpec

    @property
    def featuriser(self) -> Featuriser:
        """The featuriser of `features`."""
        return Featuriser(self.features, self.survey)


def ztf_recipe(*, hidden: int = 64, metadata: bool = True) -> ModelRecipe:
    """Return our ZTF model: detections in g, r, i for 400 d from the first one on.

    Parameters
    ----------
    hidden
        Units of the GRU.
    metadata
        Whether the network reads redshift and E(B-V).
    """
    # The 5 sigma depth of a ZTF alert is 20.5 to 21 mag: about 2000 nJy is half of it.
    features = FeatureSpec(columns=_ZTF_COLUMNS, window_days=(0.0, 400.0), softening_njy=2000.0)
    network = _network(len(_ZTF_COLUMNS), hidden, len(ZTF_CLASSES), metadata=metadata)
    return ModelRecipe(Survey.ZTF, ZTF_CLASSES, features, network)


def lsst_recipe(*, hidden: int = 64, metadata: bool = True) -> ModelRecipe:
    """Return our LSST model: detections in ugrizy for all ten years from the first one on.

    Parameters
    ----------
    hidden
        Units of the GRU.
    metadata
        Whether the network reads redshift and E(B-V).
    """
    features = FeatureSpec(columns=_LSST_COLUMNS, window_days=(0.0, 4000.0), softening_njy=200.0)
    network = _network(len(_LSST_COLUMNS), hidden, len(LSST_CLASSES), metadata=metadata)
    return ModelRecipe(Survey.LSST, LSST_CLASSES, features, network)


def survey_recipe(survey: Survey, *, hidden: int = 64, metadata: bool = True) -> ModelRecipe:
    """Return our model of a survey, see `ztf_recipe` and `lsst_recipe`.

    Parameters
    ----------
    survey
        ZTF or LSST.
    hidden, metadata
        As in `ztf_recipe`.
    """
    recipe = ztf_recipe if survey is Survey.ZTF else lsst_recipe
    return recipe(hidden=hidden, metadata=metadata)


def paper_recipe(survey: Survey, classes: tuple[str, ...]) -> ModelRecipe:
    """Return the input and network of arXiv:2502.18558, without metadata as in its transfer runs.

    Parameters
    ----------
    survey
        Whose light curves it reads.
    classes
        Names of the outputs, in order.
    """
    return ModelRecipe(survey, classes, paper_features(), paper_network(len(classes)))


def with_classes(recipe: ModelRecipe, classes: tuple[str, ...]) -> ModelRecipe:
    """Return a recipe with other classes.

    Parameters
    ----------
    recipe
        Input and layers.
    classes
        Names of the outputs, in order.
    """
    network = recipe.network.model_copy(update={"n_classes": len(classes)})
    return replace(recipe, classes=classes, network=network)


def _network(n_inputs: int, hidden: int, n_classes: int, *, metadata: bool) -> NetworkSpec:
    branch = None
    if metadata:
        branch = MetadataSpec(
            columns=("log_redshift", "mwebv"), layers=(DenseSpec(size=16, activation="relu"),)
        )
    return NetworkSpec(
        n_inputs=n_inputs,
        gru=(hidden,),
        trunk=(DenseSpec(size=64, activation="tanh"),),
        metadata=branch,
        head=(DenseSpec(size=64, activation="relu"),) if metadata else (),
        n_classes=n_classes,
    )
