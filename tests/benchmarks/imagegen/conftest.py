"""The measurements of the image app share the proofs of its tests."""

from __future__ import annotations

from tests.apps.imagegen.conftest import proofs_are_kept as proofs_are_kept
