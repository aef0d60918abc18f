"""The hyperparameters of training."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FitConfig"]


class FitConfig(BaseModel):
    """How a network is trained; stored with its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(40, ge=1, description="Upper bound on the number of epochs")
    batch_size: int = Field(64, ge=1, description="Objects per gradient step")
    learning_rate: float = Field(2e-3, gt=0, description="Of AdamW, in the first epoch")
    weight_decay: float = Field(1e-4, ge=0)
    cosine: bool = Field(True, description="Anneal the learning rate to zero along a cosine")
    class_power: float = Field(
        0.5, ge=0, le=1, description="Class weights are (N / n_c) to this power; 1 in the paper"
    )
    per_step: bool = Field(
        True, description="Loss at every step; False: at the last one only, as in the paper"
    )
    early_share: float = Field(0.5, ge=0, le=1, description="Share of the loss weighted by 1 / step")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    metadata_dropout: float = Field(0.5, ge=0, le=1, description="Probability of hiding the redshift")
    teacher_share: float = Field(0.7, ge=0, le=1, description="Share of the loss that is distillation")
    anchor: float = Field(0.0, ge=0, description="L2 penalty on the distance to the initial weights (L2-SP)")
    max_steps: int = Field(250, ge=1, description="Later steps of a light curve are cut off")
    objects_per_epoch: int = Field(0, ge=0, description="Objects drawn per epoch; 0: all of them")
    patience: int = Field(6, ge=1, description="Validations without improvement before stopping early")
    min_delta: float = Field(1e-4, ge=0, description="Smallest increase of the score that counts")
    validate_every: int = Field(1, ge=1, description="Epochs between validations")
    seed: int = 0
