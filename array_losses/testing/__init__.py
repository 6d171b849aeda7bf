"""Helpers that check whether a function agrees across frameworks; the public names only.

``check_agreement`` evaluates a loss, or any function of arrays, with its gradient on every
framework, device and dtype found on this machine, and compares each with a float64 reference.
``assert_agreement`` does the same inside a test. ``assert_gradient`` compares the closed-form
gradient of a loss with finite differences. Importing this imports NumPy and no other framework.
"""

from array_losses.testing.agreement import Agreement
from array_losses.testing.check import assert_agreement, check_agreement
from array_losses.testing.framework import Framework, UnavailableError, frameworks
from array_losses.testing.gradients import assert_gradient, numerical_gradient

__all__ = [
    "Agreement",
    "Framework",
    "UnavailableError",
    "assert_agreement",
    "assert_gradient",
    "check_agreement",
    "frameworks",
    "numerical_gradient",
]
