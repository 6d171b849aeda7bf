"""The losses as one writes them by hand with PyTorch, in a few lines: logits and labels."""

import torch
import torch.nn.functional as F


def focal(z, labels):
    """The focal loss from the cross entropy of each pixel."""
    entropy = F.cross_entropy(z, labels, reduction="none")
    return ((1 - torch.exp(-entropy)) ** 2 * entropy).mean()


def dice(z, labels):
    """The Dice loss of one-hot labels, mean over classes."""
    true, both = _sums(z, labels)
    return (1 - 2 * true / both).mean()


def jaccard(z, labels):
    """The Jaccard loss of one-hot labels, mean over classes."""
    true, both = _sums(z, labels)
    return (1 - true / (both - true)).mean()


def _sums(z, labels):
    p = z.softmax(1)
    g = F.one_hot(labels, z.shape[1]).movedim(-1, 1).to(p.dtype)
    pixels = (0, *range(2, z.ndim))
    return (p * g).sum(pixels), p.sum(pixels) + g.sum(pixels)


def ce_dice(z, labels):
    """Cross entropy plus Dice loss."""
    return F.cross_entropy(z, labels) + dice(z, labels)


def lovasz(z, labels):
    """Lovász-Softmax with all classes in one sort, mean over classes."""
    p = z.softmax(1).movedim(1, 0).flatten(1)
    g = (labels.flatten() == torch.arange(p.shape[0], device=z.device)[:, None]).to(p.dtype)
    errors, order = (g - p).abs().sort(dim=1, descending=True)
    g = g.gather(1, order)
    total = g.sum(1, keepdim=True)
    jaccard = 1 - (total - g.cumsum(1)) / (total + (1 - g).cumsum(1))
    steps = torch.cat([jaccard[:, :1], jaccard.diff(dim=1)], dim=1)
    return (errors * steps).sum(1).mean()


PLAIN = {
    "focal": focal,
    "dice": dice,
    "jaccard": jaccard,
    "ce+dice": ce_dice,
    "lovasz": lovasz,
}
