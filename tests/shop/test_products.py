import itertools

import cv2
import numpy as np
import pytest

from src.shop.categories import CATEGORIES
from src.shop.patterns import LATE_STYLES, PATTERNS, STYLE_OF, pattern_weights
from src.shop.products import plan_products
from src.shop.seeds import Stream, stream
from src.shop.sprites import blueprint, sprite
from src.shop.views import catalogue_view


def test_a_plan_depends_on_its_seed_only():
    assert plan_products(40, 7) == plan_products(40, 7)
    assert plan_products(40, 7) != plan_products(40, 8)


@pytest.mark.parametrize("seed", range(4))
def test_twins_differ_in_exactly_one_trait(seed):
    products = plan_products(100, seed)
    paired = [p for p in products if p.twin is not None]
    assert len(paired) == 16  # 15 % of 100, in pairs
    for product in paired:
        twin = products[product.twin]
        assert twin.twin == product.number
        assert len(product.traits.differing(twin.traits)) == 1
        assert product.colourways == twin.colourways


def test_nobody_else_is_that_similar():
    products = plan_products(150, 0)
    by_category = {}
    for product in products:
        by_category.setdefault(product.category, []).append(product)
    for group in by_category.values():
        for k, a in enumerate(group):
            for b in group[k + 1 :]:
                if a.twin != b.number:
                    assert len(a.traits.differing(b.traits)) >= 4


def _front(product):
    item = sprite(blueprint(product, 96), product, 0)
    return catalogue_view("front", item, product.brand.studio, stream(0, Stream.VIEW, 0))[0].astype(float)


def test_twins_look_different_but_only_a_little():
    products = plan_products(160, 11)
    pairs = [(p, products[p.twin]) for p in products if p.twin is not None and p.twin > p.number]
    for a, b in pairs:
        difference = np.abs(_front(a) - _front(b)).max(axis=2)
        detail = (a.category, a.traits.differing(b.traits))
        assert (difference > 40).sum() >= 40, detail  # of 96 x 96: there for everyone to see
    twins = np.median([np.abs(_front(a) - _front(b)).mean() for a, b in pairs])
    others = np.median([np.abs(_front(a) - _front(c)).mean() for (a, _), (c, _) in itertools.pairwise(pairs)])
    assert twins < others / 2


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_kind_of_every_category_can_be_drawn(category):
    spec = CATEGORIES[category]
    base = next(p for p in plan_products(40, 0) if p.category == category)
    for name, kinds in spec.kinds.items():
        for kind in set(kinds):
            changed = base.traits.replaced(name, kind)
            drawn = blueprint(type(base)(**{**vars(base), "traits": changed}), 32)
            assert 0.02 < drawn.alpha.mean() < 0.9
            assert np.allclose(drawn.weights.sum(axis=0), drawn.alpha, atol=1e-3)


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_share_out_each_pixel(name):
    axis = np.linspace(-1, 1, 80, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    weights = pattern_weights(name, x, y, scale=0.3, angle=30, seed=4, pixel=2 / 80)
    assert weights.shape == (3, 80, 80)
    assert weights.min() >= 0
    assert np.allclose(weights.sum(axis=0), 1, atol=1e-5)
    if name != "plain":
        assert weights[0].mean() < 0.98


def test_late_styles_exist():
    assert set(LATE_STYLES) < set(STYLE_OF.values())


def test_colour_variants_have_the_same_shape():
    product = next(p for p in plan_products(40, 0) if len(p.colourways) > 1)
    drawn = blueprint(product, 48)
    first, second = sprite(drawn, product, 0), sprite(drawn, product, 1)
    assert np.array_equal(first.small[..., 3], second.small[..., 3])
    a, b = (cv2.mean(s.small[..., :3])[:3] for s in (first, second))
    assert np.abs(np.subtract(a, b)).max() > 3
