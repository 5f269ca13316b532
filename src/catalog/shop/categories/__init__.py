"""The shop's categories, by name."""

from src.catalog.shop.categories._category import Category
from src.catalog.shop.categories.accessories import HAT, SUNGLASSES, WATCH
from src.catalog.shop.categories.bags import BACKPACK, HANDBAG
from src.catalog.shop.categories.bottoms import DRESS, SKIRT, TROUSERS
from src.catalog.shop.categories.footwear import BOOT, HEELS, SNEAKER
from src.catalog.shop.categories.furniture import CHAIR, LAMP, SOFA
from src.catalog.shop.categories.tableware import BOTTLE, MUG
from src.catalog.shop.categories.tops import JACKET, JUMPER, SHIRT, T_SHIRT

__all__ = ["CATEGORIES", "Category"]

CATEGORIES: dict[str, Category] = {
    "t_shirt": T_SHIRT,
    "jumper": JUMPER,
    "shirt": SHIRT,
    "jacket": JACKET,
    "dress": DRESS,
    "skirt": SKIRT,
    "trousers": TROUSERS,
    "sneaker": SNEAKER,
    "boot": BOOT,
    "heels": HEELS,
    "handbag": HANDBAG,
    "backpack": BACKPACK,
    "hat": HAT,
    "watch": WATCH,
    "sunglasses": SUNGLASSES,
    "mug": MUG,
    "bottle": BOTTLE,
    "lamp": LAMP,
    "chair": CHAIR,
    "sofa": SOFA,
}
