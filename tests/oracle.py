"""The reference: every loss once more in float64 NumPy, slow, written to be checked by eye.

Written from the formulas alone. It shares no code with the library, and goes about everything in
another way where it can: ignored pixels are taken out of the arrays instead of being masked, the
Jaccard set function of the Lovász losses is evaluated on every set, and gradients are differences.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

# --- the pixels of one image ----------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    """The pixels of one image that count, one a row; a pixel that is ignored has no row."""

    logits: np.ndarray  # (pixels, classes)
    target: np.ndarray  # (pixels, classes), 0 or 1 or a probability
    weights: np.ndarray  # (pixels,), positive
    counted: np.ndarray  # (pixels, classes), False where only this class is ignored at the pixel
    index: np.ndarray  # (pixels,), where in the image the pixel was
    size: int  # pixels of the image, ignored ones included

    def rows(self, rows):
        """Some of its pixels."""
        arrays = (self.logits, self.target, self.weights, self.counted, self.index)
        return Image(*(array[rows] for array in arrays), self.size)


def images(logits, target, pixel_weights=None, *, class_axis=1, ignore_index=None):
    """Take the batch apart into its images, and drop what is ignored."""
    logits = np.asarray(logits, dtype=np.float64)
    target = np.asarray(target)
    logits_last = np.moveaxis(logits, class_axis, -1)
    batch, classes = logits_last.shape[0], logits_last.shape[-1]
    pixels_shape = logits_last.shape[:-1]
    size = int(np.prod(pixels_shape[1:]))
    logits_last = logits_last.reshape(batch, size, classes)

    if ignore_index is None:
        ignore_index = ()
    elif isinstance(ignore_index, int):
        ignore_index = (ignore_index,)
    is_ignored = np.zeros(target.shape, dtype=bool)
    for value in ignore_index:
        is_ignored |= target == value

    if target.shape == logits.shape:  # one- or multi-hot, or probabilities
        g = np.moveaxis(target, class_axis, -1).reshape(batch, size, classes).astype(np.float64)
        counted = ~np.moveaxis(is_ignored, class_axis, -1).reshape(batch, size, classes)
    else:  # labels, or the mask of the only class
        assert target.shape == pixels_shape
        labels = target.reshape(batch, size)
        g = np.zeros((batch, size, classes))
        for b, i in np.ndindex(batch, size):
            if classes == 1:
                g[b, i, 0] = labels[b, i]
            elif 0 <= labels[b, i] < classes:
                g[b, i, int(labels[b, i])] = 1.0
        counted = np.repeat(~is_ignored.reshape(batch, size, 1), classes, axis=2)

    if pixel_weights is None:
        weights = np.ones((batch, size))
    else:
        assert pixel_weights.shape == pixels_shape
        weights = pixel_weights.reshape(batch, size).astype(np.float64)

    g = np.where(counted, g, 0.0)  # An ignored element of a pixel that counts: no probability.
    result = []
    for b in range(batch):
        keep = np.flatnonzero(np.any(counted[b], axis=1) & (weights[b] != 0))
        result.append(
            Image(logits_last[b, keep], g[b, keep], weights[b, keep], counted[b, keep], keep, size)
        )
    return result


def join(parts, classes):
    """All images as one, for sums over the batch."""
    return Image(
        np.concatenate([np.zeros((0, classes)), *(part.logits for part in parts)]),
        np.concatenate([np.zeros((0, classes)), *(part.target for part in parts)]),
        np.concatenate([np.zeros(0), *(part.weights for part in parts)]),
        np.concatenate([np.zeros((0, classes), bool), *(part.counted for part in parts)]),
        np.zeros(0),
        sum(part.size for part in parts),
    )


def per_class(value, classes):
    """An option that is a number, or one number a class."""
    return np.full(classes, value) if np.isscalar(value) else np.asarray(value, dtype=np.float64)


# --- activations, accurate in every corner --------------------------------------------------------


def log_sum_exp(x):
    """log Σ exp over the last axis."""
    highest = np.max(x, axis=-1, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):  # nothing but -inf: the logarithm of 0
        return np.log(np.sum(np.exp(x - highest), axis=-1)) + highest[..., 0]


def softplus(x):
    """log(1 + exp x)."""
    return np.where(x > 0, x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def log_probabilities(logits, activation):
    """log p and log(1-p) of every pixel and class."""
    if activation == "softmax":
        # The softmax of a class is the sigmoid of its logit less the log-sum-exp of the others.
        others = [log_sum_exp(np.delete(logits, c, axis=1)) for c in range(logits.shape[1])]
        logits = logits - np.stack(others, axis=1)
        activation = "sigmoid"
    if activation == "sigmoid":
        return -softplus(-logits), -softplus(logits)
    assert activation is None
    with np.errstate(divide="ignore"):
        return np.log(logits), np.log1p(-logits)


def probabilities(logits, activation):
    """The probability of every pixel and class."""
    if activation is None:
        return logits
    return np.exp(log_probabilities(logits, activation)[0])


def product(factor, term):
    """factor * term, where a factor of 0 is 0 whatever the term is."""
    return np.where(factor == 0.0, 0.0, factor * np.where(factor == 0.0, 0.0, term))


# --- losses with one number a pixel ---------------------------------------------------------------


def _reduce_pixels(logits, parts, terms, divisor_of, *, class_axis, reduction):
    """`terms[b]`: the weighted loss of the counted pixels of image b, one number a pixel."""
    if reduction == "none":
        batch = len(parts)
        shape = np.moveaxis(np.asarray(logits), class_axis, -1).shape[:-1]
        result = np.zeros((batch, int(np.prod(shape[1:]))))
        for b, part in enumerate(parts):
            result[b, part.index] = terms[b]
        return result.reshape(shape)
    total = sum(float(np.sum(term)) for term in terms)
    if reduction == "sum":
        return total
    divisor = sum(divisor_of(part) for part in parts)
    return total / divisor if divisor != 0 else 0.0


def _pixel_loss(
    logits,
    target,
    pixel_weights,
    element_loss,
    *,
    activation,
    class_axis,
    ignore_index,
    class_weights,
    include_background,
    reduction,
    normalize,
    element_share=None,
    choose=None,
):
    """Cross entropy and focal loss: they differ in the loss of one pixel and class only."""
    parts = images(logits, target, pixel_weights, class_axis=class_axis, ignore_index=ignore_index)
    classes = np.asarray(logits).shape[class_axis]
    binary = activation == "sigmoid" or (activation is None and classes == 1)
    omega = np.ones(classes) if class_weights is None else np.asarray(class_weights, float)
    member = np.ones(classes)  # 0 for a class left out
    if not include_background:
        member[0] = 0.0

    terms, improbabilities = [], []
    for part in parts:
        log_p, log_q = log_probabilities(part.logits, activation)
        so = product(part.target * member * part.counted, -log_p)
        if binary:
            so = so + product((1 - part.target) * member * part.counted, -log_q)
        improbabilities.append(np.sum(so, axis=1))
        factor = part.weights[:, np.newaxis] * part.counted * omega * member
        terms.append(np.sum(element_loss(part.target, log_p, log_q, factor, binary), axis=1))

    if choose is not None:
        everything = normalize.startswith("all")
        kept, number = _hardest(parts, terms, improbabilities, choose, everything=everything)
        terms = [term[rows] for term, rows in zip(terms, kept, strict=True)]
        parts = [part.rows(rows) for part, rows in zip(parts, kept, strict=True)]
        if everything:  # The number that is kept is the size of what is left, of one image.
            sizes = [number, *(0 for _ in parts)]
            parts = [replace(part, size=sizes[b]) for b, part in enumerate(parts)]

    def divisor_of(part):
        weights = part.weights[:, np.newaxis] * part.counted
        by_unit = {
            "valid_pixels": np.sum(part.weights),
            "all_pixels": part.size,
            "valid_elements": np.sum(weights * member),
            "all_elements": part.size * np.sum(member),
        }
        if normalize in by_unit:
            return by_unit[normalize]
        if normalize == "focal":
            log_p, log_q = log_probabilities(part.logits, activation)
            factor = weights * (member if binary else 1.0)
            return np.sum(element_share(part.target, log_p, log_q, factor, binary))
        if normalize == "weights":
            return np.sum(weights * omega * member * (1 if binary else part.target))
        return by_unit[normalize + ("_elements" if binary else "_pixels")]

    return _reduce_pixels(
        logits, parts, terms, divisor_of, class_axis=class_axis, reduction=reduction
    )


def _hardest(parts, terms, improbabilities, choose, *, everything):
    """The rows of each image that are kept, and how many pixels are kept in all.

    `choose(pairs)` returns the hardness of each pixel, and how many are kept, from a list of their
    losses and of -log p_t. With `everything` the list has an entry for
    each ignored pixel too, with 0 and 0, at its place.
    """
    pixels, places = [], []  # in the order of the batch
    for b, part in enumerate(parts):
        row_of = {int(i): row for row, i in enumerate(part.index)}
        for i in range(part.size):
            if i in row_of:
                row = row_of[i]
                pixels.append((float(terms[b][row]), float(improbabilities[b][row])))
                places.append((b, row))
            elif everything:
                pixels.append((0.0, 0.0))
                places.append((b, None))
    hardness, number = choose(pixels)
    order = sorted(range(len(pixels)), key=lambda i: -hardness[i])  # equal ones stay in order
    kept = [[] for _ in parts]
    for b, row in (places[i] for i in order[:number]):
        if row is not None:
            kept[b].append(row)
    return [np.asarray(sorted(rows), dtype=int) for rows in kept], number


def cross_entropy(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    label_smoothing=0.0,
    pos_weight=None,
    normalize="weights",
    top_k=None,
    ohem_threshold=None,
    min_kept=0,
):
    """Cross entropy: −Σ_c q_c log p_c, or with a sigmoid one binary cross entropy a class.

    Of the hardest pixels alone with `top_k` (Wu et al. 2016) or `ohem_threshold` (Shrivastava et
    al. 2016).
    """
    classes = np.asarray(logits).shape[class_axis]
    positive = per_class(1.0 if pos_weight is None else pos_weight, classes)

    def choose(pairs):
        if top_k is not None:
            hardness = [loss for loss, _ in pairs]
            number = max(1, int(Decimal(repr(top_k)) * len(pairs)))
        else:
            hardness = [improbability for _, improbability in pairs]
            number = max(min_kept, sum(np.exp(-one) < ohem_threshold for one in hardness))
        return hardness, min(number, len(pairs))

    def element_loss(g, log_p, log_q, factor, binary):
        smoothed = (1 - label_smoothing) * g + label_smoothing / (2 if binary else classes)
        loss = product(factor * smoothed * positive, -log_p)
        if binary:
            loss = loss + product(factor * (1 - smoothed), -log_q)
        return loss

    return _pixel_loss(
        logits,
        target,
        pixel_weights,
        element_loss,
        activation=activation,
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        normalize=normalize,
        choose=None if top_k is None and ohem_threshold is None else choose,
    )


def boundary(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    class_weights=None,
    include_background=True,
    reduction="mean",
    normalize="valid_elements",
):
    """Boundary (Kervadec et al. 2019): Σ φ p, the target being the map φ."""

    def element_loss(g, log_p, log_q, factor, binary):
        return factor * g * np.exp(log_p)

    return _pixel_loss(
        logits,
        target,
        pixel_weights,
        element_loss,
        activation=activation,
        class_axis=class_axis,
        ignore_index=None,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        normalize=normalize,
    )


def poly(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    label_smoothing=0.0,
    pos_weight=None,
    epsilon=1.0,
    normalize="weights",
):
    """Poly-1 (Leng et al. 2022): cross entropy + ε (1 − p_t)."""
    classes = np.asarray(logits).shape[class_axis]
    positive = per_class(1.0 if pos_weight is None else pos_weight, classes)

    def element_loss(g, log_p, log_q, factor, binary):
        smoothed = (1 - label_smoothing) * g + label_smoothing / (2 if binary else classes)
        loss = product(factor * smoothed * positive, -log_p + epsilon * np.exp(log_q))
        if binary:
            loss = loss + product(factor * (1 - smoothed), -log_q + epsilon * np.exp(log_p))
        return loss

    return _pixel_loss(
        logits,
        target,
        pixel_weights,
        element_loss,
        activation=activation,
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        normalize=normalize,
    )


def focal(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    gamma=2.0,
    alpha=None,
    pos_weight=None,
    threshold=None,
    soft="mixture",
    normalize="valid",
):
    """Focal loss (Lin et al. 2017): −α (1−p_t)^γ log p_t.

    `soft`: a mixture of the losses of both sides, or one loss α_t (1−p_t)^γ CE of both together.
    """
    classes = np.asarray(logits).shape[class_axis]
    gamma = per_class(gamma, classes)
    positive = per_class(1.0 if pos_weight is None else pos_weight, classes)

    def element_loss(g, log_p, log_q, factor, binary):
        if soft != "mixture":
            return together(g, log_p, log_q, factor)
        on = np.ones(classes) if alpha is None else per_class(alpha, classes)
        off = np.ones(classes) if alpha is None else 1 - on
        on = on * positive
        loss = product(factor * on * g, dimming(log_p, log_q) * -log_p)
        if binary:
            loss = loss + product(factor * off * (1 - g), dimming(log_q, log_p) * -log_q)
        return loss

    def dimming(log_p, log_q):
        if threshold is None:
            return np.exp(log_q) ** gamma
        where, divisor = threshold if isinstance(threshold, tuple) else (threshold, threshold)
        return np.where(np.exp(log_p) < where, 1.0, (np.exp(log_q) / divisor) ** gamma)

    def together(g, log_p, log_q, factor):
        a = 0.5 if alpha is None else per_class(alpha, classes)
        scale = 2.0 if alpha is None else 1.0
        mean_alpha = scale * (g * a * positive + (1 - g) * (1 - a))
        entropy = product(g, -log_p) + product(1 - g, -log_q)
        return factor * mean_alpha * dimming(*mean(g, log_p, log_q)) * entropy

    def mean(g, log_p, log_q):
        """log p_t and log (1 − p_t)."""
        if soft == "log_odds":
            odds = g * (log_p - log_q) + (1 - g) * (log_q - log_p)
            return -np.logaddexp(0.0, -odds), -np.logaddexp(0.0, odds)
        p, q = np.exp(log_p), np.exp(log_q)
        if soft == "arithmetic":
            p_t, q_t = g * p + (1 - g) * q, g * q + (1 - g) * p
        else:
            mean_log = product(g, log_p) + product(1 - g, log_q)
            p_t, q_t = np.exp(mean_log), -np.expm1(mean_log)
        with np.errstate(divide="ignore"):
            return np.log(p_t), np.log(q_t)

    def element_share(g, log_p, log_q, factor, binary):
        if soft != "mixture":
            return factor * dimming(*mean(g, log_p, log_q))
        share = product(factor * g, dimming(log_p, log_q))
        return share + product(factor * (1 - g), dimming(log_q, log_p)) if binary else share

    return _pixel_loss(
        logits,
        target,
        pixel_weights,
        element_loss,
        activation=activation,
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        normalize=normalize,
        element_share=element_share,
    )


# --- losses with one number a class ---------------------------------------------------------------


def _class_loss(
    logits,
    target,
    pixel_weights,
    loss_of_class,
    *,
    class_axis,
    ignore_index,
    class_weights,
    include_background,
    reduction,
    pool,
    absent,
    normalize,
    covering_is_absent=False,
):
    """Overlap and Lovász losses: they differ in the loss of one class only.

    `loss_of_class(logits, g, w, c)` gets all logits of the pixels, and of class c the target and
    the weights, where the pixels that are ignored for class c are gone.
    """
    logits = np.asarray(logits)
    classes = logits.shape[class_axis]
    parts = images(logits, target, pixel_weights, class_axis=class_axis, ignore_index=ignore_index)
    groups = parts if pool == "image" else [join(parts, classes)]
    omega = np.ones(classes) if class_weights is None else np.asarray(class_weights, float)

    table = np.zeros((len(groups), classes))  # the weighted loss, 0 where a class is left out
    divisors = np.zeros(len(groups))
    for row, part in enumerate(groups):
        for c in range(classes):
            rows = part.counted[:, c]
            g, w = part.target[rows, c], part.weights[rows]
            is_absent = np.sum(w * g) == 0 or (covering_is_absent and np.sum(w * (1 - g)) == 0)
            if (c == 0 and not include_background) or (is_absent and absent == "skip"):
                continue
            divisors[row] += omega[c] if normalize == "weights" else 1
            if not (is_absent and absent == "zero"):
                table[row, c] = omega[c] * loss_of_class(part.logits[rows], g, w, c)

    if reduction == "none":
        return table if pool == "image" else table[0]
    return _mean_of_rows(table, divisors, reduction)


def _mean_of_rows(table, divisors, reduction):
    """The sum of the table, or the mean over its rows of the sums divided by the divisors."""
    if reduction == "sum":
        return float(np.sum(table))
    means = [
        np.sum(row) / divisor for row, divisor in zip(table, divisors, strict=True) if divisor > 0
    ]
    return float(np.mean(means)) if means else 0.0


def _pooled_loss(
    logits,
    target,
    pixel_weights,
    sums_of_class,
    loss_of_sums,
    weights_of_masses,
    *,
    class_axis,
    ignore_index,
    class_weights,
    include_background,
    reduction,
    pool,
    absent,
):
    """One loss for all classes, of the weighted sums of their sums over pixels."""
    logits = np.asarray(logits)
    classes = logits.shape[class_axis]
    parts = images(logits, target, pixel_weights, class_axis=class_axis, ignore_index=ignore_index)
    groups = parts if pool == "image+class" else [join(parts, classes)]
    omega = np.ones(classes) if class_weights is None else np.asarray(class_weights, float)

    table = np.zeros((len(groups), 1))
    divisors = np.zeros(len(groups))
    for row, part in enumerate(groups):
        counted = [c for c in range(classes) if omega[c] > 0 and (c > 0 or include_background)]
        sums, masses = [], []
        for c in counted:
            rows = part.counted[:, c]
            g, w = part.target[rows, c], part.weights[rows]
            sums.append(sums_of_class(part.logits[rows], g, w, c))
            masses.append((np.sum(w * g), np.sum(w * g**2)))
        weights = omega[counted] * weights_of_masses(np.array(masses))
        is_absent = np.sum(weights * np.array(masses)[:, 0]) == 0
        if is_absent and absent == "skip":
            continue
        divisors[row] = 1
        if not (is_absent and absent == "zero"):
            total = sum(weight * np.array(one) for weight, one in zip(weights, sums, strict=True))
            table[row, 0] = loss_of_sums(*total)

    if reduction == "none":
        return table[:, 0] if pool == "image+class" else table[0, 0]
    return _mean_of_rows(table, divisors, reduction)


def _overlap(
    coefficient,
    logits,
    target,
    pixel_weights,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    pool="batch",
    absent="skip",
    normalize="weights",
    smooth=0.0,
    power=1,
    intersection="l1",
    form="linear",
    gamma=1.0,
    weights_of_masses=lambda masses: np.ones(len(masses)),
):
    """1 − N/M, where `coefficient(T, FP, FN)` is the pair of N and M − N without smoothing."""
    numerator, denominator = (smooth, smooth) if np.isscalar(smooth) else smooth
    soft = np.issubdtype(np.asarray(target).dtype, np.floating)

    def sums_of_class(logits, g, w, c):
        p = probabilities(logits, activation)[:, c]
        if power == 2:
            t, fp, fn = p * g, p * (p - g), g * (g - p)
        elif soft and intersection == "l1":
            t, fp, fn = np.minimum(p, g), np.maximum(p - g, 0), np.maximum(g - p, 0)
        else:
            t, fp, fn = p * g, p * (1 - g), np.exp(log_probabilities(logits, activation)[1])[:, c]
            fn = fn * g
        return np.sum(w * t), np.sum(w * fp), np.sum(w * fn)

    def loss_of_sums(t, fp, fn, gamma=gamma):
        hits, errors = coefficient(t, fp, fn)
        above, rest = hits + numerator, errors + denominator - numerator
        if above == 0 and rest == 0:
            return 0.0
        score, loss = above / (above + rest), rest / (above + rest)
        if form == "log":
            loss = -np.log(max(score, 1e-30))
        elif form == "log_cosh":
            loss = np.log1p(2 * np.sinh(loss / 2) ** 2)  # cosh = 1 + 2 sinh²
        if gamma != 1:
            return loss**gamma if loss > 1e-30 else 0.0
        return loss

    options = {
        "class_axis": class_axis,
        "ignore_index": ignore_index,
        "class_weights": class_weights,
        "include_background": include_background,
        "reduction": reduction,
        "pool": pool,
        "absent": absent,
    }
    if pool.endswith("+class"):
        arrays = (logits, target, pixel_weights)
        return _pooled_loss(*arrays, sums_of_class, loss_of_sums, weights_of_masses, **options)

    def loss_of_class(logits, g, w, c):
        power = gamma if np.isscalar(gamma) else gamma[c]
        return loss_of_sums(*sums_of_class(logits, g, w, c), gamma=power)

    return _class_loss(logits, target, pixel_weights, loss_of_class, normalize=normalize, **options)


def dice(logits, target, pixel_weights=None, **options):
    """Dice: 1 − 2T/(P+G)."""
    return _overlap(lambda t, fp, fn: (2 * t, fp + fn), logits, target, pixel_weights, **options)


def jaccard(logits, target, pixel_weights=None, **options):
    """Jaccard: 1 − T/(P+G−T)."""
    return _overlap(lambda t, fp, fn: (t, fp + fn), logits, target, pixel_weights, **options)


def tversky(logits, target, pixel_weights=None, *, fp_weight=0.5, fn_weight=0.5, **options):
    """Tversky (Salehi et al. 2017): 1 − T/(T + a·FP + b·FN)."""
    return _overlap(
        lambda t, fp, fn: (t, fp_weight * fp + fn_weight * fn),
        logits,
        target,
        pixel_weights,
        **options,
    )


def generalized_dice(logits, target, pixel_weights=None, *, weighting="square", **options):
    """Generalised Dice (Sudre et al. 2017): 1 − 2 Σ v T / Σ v (P + G), v = 1/G²."""
    power = {"square": 2, "simple": 1, "uniform": 0}[weighting]
    absent = options.pop("absent", "skip")
    squared = 1 if options.get("power") == 2 else 0

    def weights_of_masses(masses):
        sizes = masses[:, squared]
        there = sizes > 0
        weights = np.zeros(len(sizes))
        weights[there] = sizes[there] ** -float(power)
        if absent == "keep":
            weights[~there] = 1.0 if weighting == "uniform" else np.max(weights)
        return weights

    pool = options.pop("pool", "batch")
    return _overlap(
        lambda t, fp, fn: (2 * t, fp + fn),
        logits,
        target,
        pixel_weights,
        pool=f"{pool}+class",
        absent=absent,
        weights_of_masses=weights_of_masses,
        **{key: value for key, value in options.items() if key != "normalize"},
    )


def mcc(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    pool="batch",
    absent="skip",
    normalize="weights",
    intersection="l1",
):
    """Matthews correlation: 1 − (TP·TN − FP·FN)/√…; a class of no or of every pixel is absent.

    With P = Σ p, G = Σ g and N pixels it is (N·TP − P·G)/√(P G (N − P) (N − G)).
    """
    soft = np.issubdtype(np.asarray(target).dtype, np.floating)

    def loss_of_class(logits, g, w, c):
        log_p, log_q = (x[:, c] for x in log_probabilities(logits, activation))
        p, q = np.exp(log_p), np.exp(log_q)
        overlap = np.minimum(p, g) if soft and intersection == "l1" else p * g
        sizes = [np.sum(w * one) for one in (p, q, g, 1 - g)]
        if 0 in sizes:
            return 1.0 if len(w) else 0.0
        total = np.sum(w)
        deviation = total * np.sum(w * overlap) - sizes[0] * sizes[2]
        return 1 - deviation / np.prod(np.sqrt(sizes))

    return _class_loss(
        logits,
        target,
        pixel_weights,
        loss_of_class,
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        pool=pool,
        absent=absent,
        normalize=normalize,
        covering_is_absent=True,
    )


def unified_focal(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    pool="batch",
    absent="skip",
    symmetry="asymmetric",
    delta=0.6,
    gamma=0.5,
    balance=0.5,
):
    """Unified focal (Yeung et al. 2021), from their formulas for each class."""
    shared = {
        "class_axis": class_axis,
        "ignore_index": ignore_index,
        "class_weights": class_weights,
        "include_background": include_background,
        "reduction": reduction,
    }
    classes = np.asarray(logits).shape[class_axis]
    has_background = activation != "sigmoid" and classes > 1
    soft = np.issubdtype(np.asarray(target).dtype, np.floating)
    rare = gamma if symmetry == "symmetric" else 0.0

    def element_loss(g, log_p, log_q, factor, binary):
        if binary:
            loss = product(factor * delta * g, np.exp(log_q) ** rare * -log_p)
            return loss + product(factor * (1 - delta) * (1 - g), np.exp(log_p) ** gamma * -log_q)
        columns = [
            product(
                factor[:, c] * (delta if c else 1 - delta) * g[:, c],
                np.exp(log_q[:, c]) ** (rare if c else gamma) * -log_p[:, c],
            )
            for c in range(classes)
        ]
        return np.stack(columns, axis=1)

    def loss_of_class(logits, g, w, c):
        log_p, log_q = (x[:, c] for x in log_probabilities(logits, activation))
        p, q = np.exp(log_p), np.exp(log_q)
        if soft:
            tp, fp, fn = np.minimum(p, g), np.maximum(p - g, 0), np.maximum(g - p, 0)
        else:
            tp, fp, fn = p * g, p * (1 - g), q * g
        errors = delta * np.sum(w * fn) + (1 - delta) * np.sum(w * fp)
        below = np.sum(w * tp) + errors
        loss = errors / below if below > 0 else 0.0
        plain = has_background and c == 0 and symmetry == "asymmetric"
        return loss if plain or loss == 0 else loss ** (1 - gamma)

    arrays = (logits, target, pixel_weights)
    entropy = _pixel_loss(*arrays, element_loss, activation=activation, normalize="valid", **shared)
    tversky = _class_loss(
        *arrays, loss_of_class, pool=pool, absent=absent, normalize="weights", **shared
    )
    return balance * entropy + (1 - balance) * tversky


def jaccard_of_set(mistaken, g, w):
    """The Jaccard loss when just the pixels of the set `mistaken` are predicted wrongly."""
    foreground = sum(w[i] * g[i] for i in range(len(g)))
    missed = sum(w[i] * g[i] for i in mistaken)
    invented = sum(w[i] * (1 - g[i]) for i in mistaken)
    union = foreground + invented
    return (missed + invented) / union if union > 0 else 0.0


def lovasz_extension(errors, g, w):
    """Σ m_i ΔJ_i over the pixels by falling error (Berman et al. 2018, equation 8)."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    total = 0.0
    before = 0.0
    for k in range(len(order)):
        after = jaccard_of_set(order[: k + 1], g, w)
        total += errors[order[k]] * (after - before)
        before = after
    return total


def binned_extension(errors, units, g, w, bins):
    """The extension told apart by steps of `units`: in each the mean of two orders of the kinds.

    The foreground of a step and its background are one lump each: once the foreground is taken for
    mistaken first, once the background.
    """
    foreground, background = w * g, w * (1 - g)

    def jaccard(missed, invented):
        union = np.sum(foreground) + invented
        return (missed + invented) / union if union > 0 else 0.0

    steps = np.minimum(np.floor(units * 2 * bins), 2 * bins - 1)
    total = missed = invented = 0.0
    for step in sorted(set(steps), reverse=True):
        inside = steps == step
        f, b = np.sum(foreground[inside]), np.sum(background[inside])
        start, end = jaccard(missed, invented), jaccard(missed + f, invented + b)
        with_f, with_b = jaccard(missed + f, invented), jaccard(missed, invented + b)
        if f > 0:
            rate = ((with_f - start) + (end - with_b)) / 2 / f
            total += rate * np.sum((foreground * errors)[inside])
        if b > 0:
            rate = ((with_b - start) + (end - with_f)) / 2 / b
            total += rate * np.sum((background * errors)[inside])
        missed, invented = missed + f, invented + b
    return total


def lovasz_softmax(
    logits,
    target,
    pixel_weights=None,
    *,
    activation="softmax",
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    pool="batch",
    absent="skip",
    normalize="weights",
    bins=None,
):
    """Lovász-Softmax: the extension of the Jaccard loss at the errors |g − p|."""

    def loss_of_class(logits, g, w, c):
        errors = np.abs(g - probabilities(logits, activation)[:, c])
        if bins is not None:
            return binned_extension(errors, errors, g, w, bins)
        return lovasz_extension(errors, g, w)

    return _class_loss(
        logits,
        target,
        pixel_weights,
        loss_of_class,
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        pool=pool,
        absent=absent,
        normalize=normalize,
    )


def lovasz_hinge(
    logits,
    target,
    pixel_weights=None,
    *,
    class_axis=1,
    ignore_index=None,
    class_weights=None,
    include_background=True,
    reduction="mean",
    pool="batch",
    absent="keep",
    normalize="weights",
    bins=None,
):
    """Lovász hinge: the extension of the Jaccard loss at the errors max(0, 1 − z·sign)."""

    def loss_of_class(logits, g, w, c):
        errors = np.maximum(0, 1 - logits[:, c] * (2 * g - 1))
        if bins is not None:
            return binned_extension(errors, errors / (1 + errors), g, w, bins)
        return lovasz_extension(errors, g, w)

    return _class_loss(
        logits,
        target,
        pixel_weights,
        loss_of_class,
        class_axis=class_axis,
        ignore_index=ignore_index,
        class_weights=class_weights,
        include_background=include_background,
        reduction=reduction,
        pool=pool,
        absent=absent,
        normalize=normalize,
    )


LOSSES = {
    "cross_entropy": cross_entropy,
    "poly": poly,
    "boundary": boundary,
    "focal": focal,
    "dice": dice,
    "jaccard": jaccard,
    "tversky": tversky,
    "generalized_dice": generalized_dice,
    "mcc": mcc,
    "unified_focal": unified_focal,
    "lovasz_softmax": lovasz_softmax,
    "lovasz_hinge": lovasz_hinge,
}


def weighted_sum(terms, logits, target, pixel_weights=None):
    """The sum over `terms`, each a weight, the name of a loss and its options."""
    return sum(
        weight * LOSSES[name](logits, target, pixel_weights, **options)
        for weight, name, options in terms
    )


# --- scores ---------------------------------------------------------------------------------------


def _score(
    kind,
    prediction,
    target,
    pixel_weights=None,
    *,
    num_classes=None,
    ignore_index=None,
    class_axis=1,
    include_background=True,
    pool="batch",
    absent="nan",
    reduction="mean",
):
    """The coefficient of every class from its definition, then what counts of them.

    A prediction has a class axis, or it has the target's shape: then it is a mask, or labels.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.ndim == target.ndim and class_axis is None:
        one = [prediction] if num_classes is None else [prediction == c for c in range(num_classes)]
        prediction, class_axis = np.stack(one, axis=-1).astype(np.float64), -1
    classes = prediction.shape[class_axis]
    parts = images(
        prediction, target, pixel_weights, class_axis=class_axis, ignore_index=ignore_index
    )
    groups = parts if pool.startswith("image") else [join(parts, classes)]
    first = 0 if include_background else 1
    rows = [[_areas(group, c) for c in range(first, classes)] for group in groups]
    if pool.endswith("+class"):
        rows = [[tuple(np.sum(areas, axis=0))] for areas in rows]
    table = [[_of_areas(kind, absent, *areas) for areas in row] for row in rows]
    counted = [[score for score in row if score is not None] for row in table]
    if reduction == "sum":
        return float(sum(sum(row) for row in counted))
    if reduction == "mean":
        means = [sum(row) / len(row) for row in counted if row]
        return sum(means) / len(means) if means else float("nan")
    found = np.array([[np.nan if one is None else one for one in row] for row in table], float)
    found = found.reshape(len(groups), -1)
    if pool.endswith("+class"):
        found = found[:, 0]
    elif not include_background:
        found = np.concatenate([np.full((len(groups), 1), np.nan), found], axis=1)
    return found if pool.startswith("image") else found[0]


def _areas(part, c):
    """Overlap, prediction and target of a class in area."""
    rows = part.counted[:, c]
    p, g, w = part.logits[rows, c], part.target[rows, c], part.weights[rows]
    return np.sum(w * np.minimum(p, g)), np.sum(w * p), np.sum(w * g)


def _of_areas(kind, absent, overlap, predicted, true):
    """The score of a class, or None where it is left out."""
    if absent == "skip" and true == 0:
        return None
    if predicted == 0 and true == 0:
        return {"nan": None, "one": 1.0, "zero": 0.0}[absent]
    if kind == "dice":
        return 2 * overlap / (predicted + true)
    return overlap / (predicted + true - overlap)


def dice_coefficient(prediction, target, pixel_weights=None, **options):
    """Dice coefficient; ``class_axis=None`` for masks and labels."""
    return _score("dice", prediction, target, pixel_weights, **options)


def jaccard_index(prediction, target, pixel_weights=None, **options):
    """Jaccard index; ``class_axis=None`` for masks and labels."""
    return _score("jaccard", prediction, target, pixel_weights, **options)


# --- gradients ------------------------------------------------------------------------------------


def numerical_gradient(function, logits, step=2e-6):
    """Central differences; right to about 1e-9 where `function` is smooth and of size 1."""
    logits = np.array(logits, dtype=np.float64)
    gradient = np.zeros_like(logits)
    for index in np.ndindex(logits.shape):
        centre = logits[index]
        logits[index] = centre + step
        above = function(logits)
        logits[index] = centre - step
        gradient[index] = (above - function(logits)) / (2 * step)
        logits[index] = centre
    return gradient
