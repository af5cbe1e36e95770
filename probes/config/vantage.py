"""What a configuration says of the probe's own place: what proves that it is in its region."""

from __future__ import annotations

import re

from pydantic import BaseModel, model_validator

from probes.config.units import shown

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class RegionProof(BaseModel, extra="forbid", frozen=True, hide_input_in_errors=True):
    """What holds exactly a region's name where a run really is there: an environment variable, or a file."""

    env: str = ""
    file: str = ""

    @model_validator(mode="after")
    def _one(self) -> RegionProof:
        if bool(self.env) == bool(self.file):
            raise ValueError("a proof names either env: VARIABLE or file: PATH")
        if self.env and not VARIABLE.fullmatch(self.env):
            raise ValueError(f"env: {shown(self.env)} is no environment variable: write it in capital letters")
        if self.file and not self.file.startswith("/"):
            raise ValueError(f"file: {shown(self.file)} is no absolute path: write /etc/podinfo/region")
        return self

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env else f"the file {self.file}"
