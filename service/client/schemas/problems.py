"""Errors as problem documents (RFC 9457)."""

from pydantic import BaseModel, Field

__all__ = ["Fault", "Problem"]


class Fault(BaseModel):
    """One error in a request."""

    location: str = Field(
        description="Where: body, path or query, and the field", examples=["body.observations.0.band"]
    )
    message: str = Field(
        description="What is wrong", examples=["Input should be 'u', 'g', 'r', 'i', 'z' or 'y'"]
    )


class Problem(BaseModel):
    """A problem document (RFC 9457), served as ``application/problem+json``."""

    type: str = Field(
        description="URI of the kind of problem; about:blank where the status says all",
        examples=["urn:nightjar:problem:unknown-object"],
    )
    title: str = Field(description="The kind of problem, for people", examples=["Unknown object"])
    status: int = Field(description="HTTP status code", examples=[404])
    detail: str | None = Field(None, description="What happened", examples=["no object ztf:ZTF21abiuvdk"])
    instance: str | None = Field(
        None, description="Path of the request", examples=["/v1/objects/ztf:ZTF21abiuvdk"]
    )
    errors: list[Fault] | None = Field(None, description="Errors in the request, where it was invalid")
