import cv2
import numpy as np

from src.shop.photo import take_photo
from src.shop.products import plan_products
from src.shop.seeds import Stream, stream
from src.shop.sprites import blueprint, sprite


def test_masks_are_binary_and_cover_a_plausible_part(shop):
    for row in shop.rows():
        mask = shop.mask(row)
        assert mask.dtype == np.uint8
        assert mask.shape == shop.picture(row).shape[:2] == (96, 96)
        assert set(np.unique(mask)) <= {0, 255}
        share = (mask > 0).mean()
        assert share > 0.004, row["image_id"]
        assert share < 0.95 or row["view"] == "detail", row["image_id"]


def test_catalogue_pictures_are_light_outside_the_mask(shop):
    around = np.ones((13, 13), np.uint8)
    for row in shop.rows():
        if row["domain"] == "catalogue":
            outside = cv2.dilate(shop.mask(row), around) == 0
            assert not outside.any() or shop.picture(row)[outside].min() > 165, row["image_id"]


def test_the_item_of_a_photo_lies_inside_its_mask():
    # The same stream with the item's colours inverted changes the photo where the item is visible, and nowhere else.
    product = plan_products(20, 1)[0]
    item = sprite(blueprint(product, 96), product, 0)
    loud = item.small.copy()
    loud[..., :3] = np.where(loud[..., :3] > 0.5 * loud[..., 3:], 0, loud[..., 3:])
    other = type(item)(large=item.large, small=loud, bounds=item.bounds)
    for number in range(16):
        a, mask, _ = take_photo(item, stream(1, Stream.PHOTO, number), 1)
        b, same, _ = take_photo(other, stream(1, Stream.PHOTO, number), 1)
        assert np.array_equal(mask, same)
        changed = np.abs(a.astype(int) - b.astype(int)).max(axis=2) > 25
        near = cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0
        assert not (changed & ~near).any()
        core = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
        assert changed[core].mean() > 0.985


def test_photos_are_of_many_sizes_and_off_centre(shop):
    sides, centres = [], []
    for row in shop.rows():
        if row["domain"] == "user":
            rows, columns = np.nonzero(shop.mask(row))
            sides.append(max(np.ptp(rows), np.ptp(columns)) / 96)
            centres.append([rows.mean() / 96, columns.mean() / 96])
    assert 0.5 < np.median(sides) < 0.85
    assert np.percentile(sides, 5) > 0.3
    assert np.std(centres, axis=0).min() > 0.05


def test_front_views_have_no_randomness(shop):
    # Twins are compared in them.
    product = plan_products(20, 1)[3]
    from src.shop.views import catalogue_view

    item = sprite(blueprint(product, 48), product, 0)
    a, _ = catalogue_view("front", item, (255, 255, 255), stream(0, Stream.VIEW, 1))
    b, _ = catalogue_view("front", item, (255, 255, 255), stream(0, Stream.VIEW, 2))
    assert np.array_equal(a, b)
