"""Unified focal: focal cross entropy and focal Tversky with the same two parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from array_losses.core import options
from array_losses.core.pixels import Pixels
from array_losses.core.protocol import Terms
from array_losses.core.target_terms import Term
from array_losses.losses.base import Activation, Loss
from array_losses.losses.class_mean import Absent, Pool
from array_losses.losses.focal import FocalLoss
from array_losses.losses.overlap import TverskyLoss
from array_losses.losses.pixel_mean import Numbers, product

__all__ = ["Symmetry", "UnifiedFocalLoss"]

Symmetry: TypeAlias = Literal["asymmetric", "symmetric"]


@dataclass(frozen=True, kw_only=True)
class UnifiedFocalLoss(Loss):
    r"""Unified focal loss: a focal cross entropy and a focal Tversky loss with shared parameters.

    .. math:: \lambda L_F + (1 - \lambda) L_T

    With softmax, class 0 is the background and all others are the rare classes r. Asymmetric:

    .. math::
        L_F &= \frac{1}{N} \sum_i -\delta \sum_r g_{ir} \log p_{ir}
              - (1 - \delta) g_{i0} (1 - p_{i0})^\gamma \log p_{i0} \\
        L_T &= \operatorname{mean}\{1 - TI_0, (1 - TI_r)^{1 - \gamma}\}, \qquad
        TI = TP / (TP + \delta FN + (1 - \delta) FP)

    so the background is suppressed in the one, the rare classes enhanced in the other. Symmetric:
    all classes are, in both. With a sigmoid every class is rare, and "not there" its background,
    which has no Tversky index.

    Parameters
    ----------
    class_axis, ignore_index, class_weights, include_background, activation
        As for `DiceLoss`; class weights are factors of the cross entropy and the weights of the
        mean over Tversky losses.
    reduction : {"mean", "sum"}
        Of both parts: the mean over valid pixels and the mean over classes, or the sums.
    pool, absent
        As for `DiceLoss`, of the Tversky part.
    symmetry : {"asymmetric", "symmetric"}
        What is suppressed and enhanced.
    delta : number from 0 to 1, default 0.6
        The weight of rare classes and of false negatives; 1 - delta is that of the background and
        of false positives.
    gamma : number from 0 to less than 1, default 0.5
        How much is suppressed and enhanced; 0: nothing.
    balance : number from 0 to 1, default 0.5
        The weight of the cross entropy, :math:`\lambda`.

    Raises
    ------
    TypeError, ValueError
        If an option is of a wrong kind or value.

    See Also
    --------
    FocalLoss : the first part.
    TverskyLoss : the second part.

    Notes
    -----
    For the symmetric form the paper writes :math:`1 - \gamma` and :math:`\gamma` for the exponents
    :math:`\gamma` and :math:`1 - \gamma`; here, as in the authors' code, it has those of the
    asymmetric form. At the default, 1/2, they are one.

    References
    ----------
    M. Yeung, E. Sala, C.-B. Schönlieb, L. Rundo, "Unified Focal Loss: Generalising Dice and Cross
    Entropy-Based Losses to Handle Class Imbalanced Medical Image Segmentation", Computerized
    Medical Imaging and Graphics 95, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> import array_losses as al
    >>> logits, target = np.zeros((1, 2, 4)), np.asarray([[0, 0, 0, 1]])
    >>> round(float(al.UnifiedFocalLoss()(logits, target)), 6)
    0.431721
    """

    activation: Activation = "softmax"
    pool: Pool = "batch"
    absent: Absent = "skip"
    symmetry: Symmetry = "asymmetric"
    delta: float = 0.6
    gamma: float = 0.5
    balance: float = 0.5

    def __post_init__(self) -> None:
        """Check the options."""
        super().__post_init__()
        if self.reduction == "none":
            msg = (
                '`reduction` must be "mean" or "sum", got "none": a value per pixel and a value '
                "per class cannot be added."
            )
            raise ValueError(msg)
        options.choice("pool", self.pool, ("batch", "image"))
        options.choice("absent", self.absent, ("skip", "keep", "zero"))
        options.choice("symmetry", self.symmetry, ("asymmetric", "symmetric"))
        for name in ("delta", "gamma", "balance"):
            value = getattr(self, name)
            self._set(**{name: options.number(name, value, lowest=0.0, highest=1.0)})
        if self.gamma == 1.0:
            msg = "`gamma` must be below 1, got 1.0."
            raise ValueError(msg)
        # Made once: torch.compile follows no `super` of a property in the making of an object.
        self._set(_terms=self._parts())

    def terms(self) -> Terms:
        """Return the two parts with their weights."""
        terms: Terms = self._terms  # type: ignore[attr-defined]
        return terms

    def _parts(self) -> Terms:
        shared: dict[str, Any] = {
            "class_axis": self.class_axis,
            "ignore_index": self.ignore_index,
            "class_weights": self.class_weights,
            "include_background": self.include_background,
            "reduction": self.reduction,
            "activation": self.activation,
        }
        symmetric = self.symmetry == "symmetric"
        focal = _FocalPart(symmetric=symmetric, alpha=self.delta, gamma=self.gamma, **shared)
        tversky = _TverskyPart(
            symmetric=symmetric,
            fn_weight=self.delta,
            fp_weight=1.0 - self.delta,
            gamma=1.0 - self.gamma,
            pool=self.pool,
            absent=self.absent,
            **shared,
        )
        pairs: Any = ((self.balance, focal), (1.0 - self.balance, tversky))
        return tuple(pair for pair in pairs if pair[0] != 0.0)


@dataclass(frozen=True, kw_only=True)
class _FocalPart(FocalLoss):
    """The cross entropy, damped by gamma for the background, and if `symmetric` for all."""

    symmetric: bool

    def sides(self, term: Term) -> tuple[Numbers, Numbers]:
        """Return the factors of the classes, or of both sides of every class."""
        pixels = term.pixels
        if not pixels.multiclass:
            return super().sides(term)
        delta = float(self.alpha)  # type: ignore[arg-type]
        by_class = self.class_factors(pixels.num_classes)
        factors = product(by_class, (1.0 - delta, *(delta,) * (pixels.num_classes - 1)))
        return factors, factors

    def gammas(self, pixels: Pixels) -> tuple[Numbers, Numbers]:
        """Return the exponents of the classes, or of both sides of every class."""
        gamma = float(self.gamma)  # type: ignore[arg-type]
        rare = gamma if self.symmetric else 0.0
        if not pixels.multiclass:
            return rare, gamma
        gammas = (gamma, *(rare,) * (pixels.num_classes - 1))
        return gammas, gammas


@dataclass(frozen=True, kw_only=True)
class _TverskyPart(TverskyLoss):
    """The Tversky losses, raised to gamma where rare, and if `symmetric` for all classes."""

    symmetric: bool

    def exponents(self, num_classes: int) -> float | tuple[float, ...]:
        """Return the power to which the loss of a class is raised."""
        gamma = float(self.gamma)  # type: ignore[arg-type]
        if self.symmetric or self.activation == "sigmoid" or num_classes == 1:
            return gamma
        return (1.0, *(gamma,) * (num_classes - 1))
