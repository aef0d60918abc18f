"""Sizes of the experiments: quick, standard, full."""

from pydantic import BaseModel, ConfigDict, Field

from training.reproduce.methods import METHODS

__all__ = ["SCALES", "Scale"]

MAIN_METHODS = ("paper-scratch", "paper-transfer", "ours-scratch", "ours-transfer")


class Scale(BaseModel):
    """Sizes of everything; stored with the results, which are valid for them only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    methods: tuple[str, ...] = tuple(METHODS)
    seeds: int = Field(5, ge=2, description="Number of splits, subsets and initial weights that are drawn")
    ztf_simulated: int = Field(description="Light curves that the base networks are trained on")
    lsst_simulated: int = Field(description="Light curves of the second target")
    base_epochs: int
    base_objects: int = Field(description="Objects drawn for each epoch of a base")
    hidden: int = Field(64, description="Units of our GRU; the paper's network has its own size")
    real_sizes: tuple[int, ...] = Field(description="Numbers of labels of real ZTF; the last is all")
    real_validation: int
    lsst_sizes: tuple[int, ...]
    lsst_validation: int
    lsst_test: int
    epochs: int = Field(description="Upper bound on the number of epochs")
    patience: int = Field(6, description="Epochs without gain on the validation set before stopping early")
    objects_per_epoch: int = Field(
        description="A smaller training set is repeated until an epoch has as many objects"
    )
    most_objects_per_epoch: int = Field(description="Of a larger training set, so many are drawn per epoch")
    max_steps: int = Field(250, description="Later steps of a light curve are cut off in training")


SCALES = {
    # Shows that everything works; its networks are trained too briefly for their scores to mean anything.
    "quick": Scale(
        name="quick",
        methods=MAIN_METHODS,
        ztf_simulated=6000,
        lsst_simulated=2200,
        base_epochs=8,
        base_objects=4000,
        hidden=48,
        real_sizes=(60, 360, 1200),
        real_validation=250,
        lsst_sizes=(60, 360, 1200),
        lsst_validation=250,
        lsst_test=700,
        epochs=5,
        patience=2,
        objects_per_epoch=400,
        most_objects_per_epoch=400,
        max_steps=25,
    ),
    "standard": Scale(
        name="standard",
        methods=MAIN_METHODS,
        ztf_simulated=60_000,
        lsst_simulated=8000,
        base_epochs=16,
        base_objects=15_000,
        real_sizes=(30, 100, 360, 1200),
        real_validation=300,
        lsst_sizes=(100, 300, 900, 3000),
        lsst_validation=800,
        lsst_test=4000,
        epochs=40,
        objects_per_epoch=1500,
        most_objects_per_epoch=1500,
        max_steps=80,
    ),
    "full": Scale(
        name="full",
        seeds=8,
        ztf_simulated=100_000,
        lsst_simulated=20_000,
        base_epochs=40,
        base_objects=30_000,
        hidden=96,
        real_sizes=(30, 60, 100, 200, 360, 600, 1200),
        real_validation=300,
        lsst_sizes=(100, 300, 800, 1500, 3000, 10_000),
        lsst_validation=1500,
        lsst_test=8000,
        epochs=80,
        objects_per_epoch=1500,
        most_objects_per_epoch=3000,
    ),
}
