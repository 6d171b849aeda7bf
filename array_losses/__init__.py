"""Segmentation losses for NumPy, CuPy, PyTorch and JAX arrays, each written once."""

from array_losses.config import from_config
from array_losses.distance_maps import signed_distance_map, unet_weight_map
from array_losses.functional import (
    boundary_loss,
    cross_entropy_loss,
    dice_loss,
    focal_loss,
    generalized_dice_loss,
    jaccard_loss,
    lovasz_hinge_loss,
    lovasz_softmax_loss,
    mcc_loss,
    poly_loss,
    tversky_loss,
    unified_focal_loss,
)
from array_losses.losses.base import Loss, WeightedSum
from array_losses.losses.boundary import BoundaryLoss
from array_losses.losses.correlation import MCCLoss
from array_losses.losses.cross_entropy import CrossEntropyLoss, PolyLoss
from array_losses.losses.focal import FocalLoss
from array_losses.losses.lovasz import LovaszHingeLoss, LovaszSoftmaxLoss
from array_losses.losses.overlap import DiceLoss, GeneralizedDiceLoss, JaccardLoss, TverskyLoss
from array_losses.losses.unified_focal import UnifiedFocalLoss
from array_losses.scores import dice_coefficient, jaccard_index
from array_losses.trainers import torch_module

__version__ = "0.1.0"

__all__ = [
    "BoundaryLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "GeneralizedDiceLoss",
    "JaccardLoss",
    "Loss",
    "LovaszHingeLoss",
    "LovaszSoftmaxLoss",
    "MCCLoss",
    "PolyLoss",
    "TverskyLoss",
    "UnifiedFocalLoss",
    "WeightedSum",
    "boundary_loss",
    "cross_entropy_loss",
    "dice_coefficient",
    "dice_loss",
    "focal_loss",
    "from_config",
    "generalized_dice_loss",
    "jaccard_index",
    "jaccard_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "mcc_loss",
    "poly_loss",
    "signed_distance_map",
    "torch_module",
    "tversky_loss",
    "unet_weight_map",
    "unified_focal_loss",
]
